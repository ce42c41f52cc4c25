"""The house: flows stand on tasks, tasks on the core, and inside the core every floor on those below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "oldphoto_core"

FLOORS = [
    {"names"},
    {"errors"},
    {"folders", "proxies", "http_guard", "canvas"},
    {"nets", "clusters", "colour_difference"},
    {"scans"},
    {"storage"},
    {"reviews"},
    {"arrivals", "checkpoints", "degradation", "inventory", "reports", "metrics", "devices", "tone"},
    {"detection"},
    {"inference"},
    {"pipeline", "training", "samples"},
    {"runs"},
    {"restoration"},
    {"evaluation", "custody", "doctor", "desk"},
    {"retraining", "study"},
]
"""From the ground up; a room may use the floors below its own."""
FULL = 20
"""Files of a folder at most; folders that have more are to be parted."""
FOLDERS = sorted(
    {path.parent for place in ("oldphoto_core", "flows", "tasks", "infra") for path in (ROOT / place).rglob("*.py")}
)


def imports(path: Path, *, types: bool = False) -> Iterator[str]:
    """Modules that a file imports, also inside functions; for type checkers only with `types`."""
    tree = ast.parse(path.read_text())
    for node in _nodes(tree, types):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _nodes(node: ast.AST, types: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not types and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _nodes(child, types)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def room_of(module: str) -> str:
    return module.split(".")[1] if module.startswith("oldphoto_core.") else ""


@pytest.mark.parametrize("path", files(CORE), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_does_not_know_what_runs_it(path: Path) -> None:
    above = {module.split(".")[0] for module in imports(path)} & {"prefect", "prefect_dask", "flows", "tasks", "typer"}
    assert not above


def test_tasks_do_not_know_flows() -> None:
    assert not {(p.name, m) for p in files(ROOT / "tasks") for m in imports(p) if m.split(".")[0] == "flows"}


@pytest.mark.parametrize("folder", ["flows", "tasks"])
def test_flows_and_tasks_do_not_know_how_they_reach_machines(folder: str) -> None:
    known = {module.split(".")[0] for path in files(ROOT / folder) for module in imports(path, types=True)}
    assert "infra" not in known


def test_flows_touch_no_pixel_and_no_tensor() -> None:
    pixels = {"numpy", "torch", "cv2", "PIL", "pyvips"}
    assert not {(p.name, m) for p in files(ROOT / "flows") for m in imports(p) if m.split(".")[0] in pixels}


def test_every_room_has_its_floor() -> None:
    rooms = {p.name.removesuffix(".py") for p in CORE.iterdir() if p.suffix == ".py" or any(p.glob("*.py"))}
    assert rooms - {"__init__"} <= set().union(*FLOORS)


def test_no_room_imports_upward() -> None:
    level = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    level["__init__"] = len(FLOORS)
    uses = {(path, room_of(module)) for path in files(CORE) for module in imports(path, types=True)}
    mine = {path: path.relative_to(CORE).parts[0].removesuffix(".py") for path, _ in uses}
    upward = [
        f"{path.relative_to(CORE)} imports {other}"
        for path, other in uses
        if other in level and other != mine[path] and level[other] >= level[mine[path]]
    ]
    assert not upward


def test_no_file_of_the_core_imports_in_a_circle_not_even_in_functions_or_for_type_checkers() -> None:
    modules = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in files(CORE)}
    graph = {name: _known(name, path, modules) for name, path in modules.items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name not in done:
            for other in sorted(graph[name]):
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


def _known(name: str, path: Path, modules: dict[str, Path]) -> set[str]:
    named = {m if m in modules else m.rpartition(".")[0] for m in imports(path, types=True)}
    # a package's __init__ stands for its files: what they import from it is their own affair
    return {m for m in named if m in modules and m != name and not name.startswith(f"{m}.")}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_folder_of_code_has_at_most_20_files(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= FULL
