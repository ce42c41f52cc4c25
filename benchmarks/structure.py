"""Measures of the code itself: how far one photo travels through it, and how large its parts are.

    python benchmarks/structure.py [--model starter] [--files]

A small JPEG is restored into a folder in one process, as the command does it but without Prefect, and every call of a
function of `oldphoto_core` is counted: once with the model, and once with a network that does nothing, which leaves the
way to it and back. The other numbers are read off the files.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from measuring import enlarged

from oldphoto_core.restoration import close_run, open_run, register_restorer, restore_shard
from oldphoto_core.runs.job import job_of

CORE = Path(__file__).parents[1] / "oldphoto_core"
FULL = 20
"""Files of a folder at most."""


class Same:
    """A network that does nothing."""

    name, digest, device, max_megapixels = "same", "0" * 64, "cpu", 500.0

    def restore(self, pixels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The pixels."""
        return pixels


class Way:
    """Counts calls into files of the core, and those that come from another of them, on all threads."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.changes = 0

    def __enter__(self) -> Way:
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _note(self, frame: FrameType, event: str, _argument: Any) -> None:
        file = frame.f_code.co_filename
        # importing is no work on the photo
        if event != "call" or not file.startswith(str(CORE)) or frame.f_code.co_name == "<module>":
            return
        self.calls[file] += 1
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(str(CORE)):
            caller = caller.f_back
        self.changes += caller is not None and caller.f_code.co_filename != file


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="starter")
    arguments.add_argument("--files", action="store_true", help="name the files, with the calls into each")
    chosen = arguments.parse_args()
    register_restorer("same", lambda _device: Same())
    ways = {model: restored(model) for model in ("same", chosen.model)}
    files = {path: path.read_text() for path in sorted(CORE.rglob("*.py"))}
    lengths = sorted(len(text.splitlines()) for path, text in files.items() if path.name != "__init__.py")
    full = {str(folder.relative_to(CORE.parent)): count for folder, count in sizes(files).items() if count > FULL}
    most, where = max(parameters(files))
    print("| measure | value |")
    print("|---|---|")
    for model, way in ways.items():
        print(f"| files of the core that one JPEG passes with its shard, model {model} | {len(way.calls)} |")
        print(f"| calls on that way, and those into another file | {way.calls.total()}, {way.changes} |")
    print(f"| most parameters of a function | {most} (`{where}`) |")
    print(f"| folders of more than {FULL} files | {', '.join(f'{a}: {b}' for a, b in full.items()) or 'none'} |")
    print(f"| lines of a file: median, 90 % | {statistics.median(lengths):.0f}, {lengths[len(lengths) * 9 // 10]} |")
    print(f"| public names in 100 lines | {100 * public(files) / sum(lengths):.1f} |")
    if chosen.files:
        print(*(f"{count:6} {file}" for file, count in ways[chosen.model].calls.most_common()), sep="\n")


def restored(model: str) -> Way:
    """The way of one JPEG from the plan of its run to its derivative and its row in the ledger."""
    with tempfile.TemporaryDirectory(prefix="oldphoto-benchmark-") as name:
        folder = Path(name)
        (folder / "old").mkdir()
        enlarged(0.05).colourspace("srgb").write_to_file(str(folder / "old/photo.jpg"))
        choices = {"source": str(folder / "old"), "target": str(folder / "new"), "model": model, "device": "cpu"}
        run = open_run(job_of(**choices, isolate=False, report=False))
        with Way() as way:
            restore_shard(run, 0)
        close_run(run)
        assert (folder / "new/photos/photo.jpg").is_file()
    return way


def sizes(files: dict[Path, str]) -> Counter[Path]:
    """Files of each folder."""
    return Counter(path.parent for path in files)


def parameters(files: dict[Path, str]) -> list[tuple[int, str]]:
    """How many each function has, without `self` and `cls`, and where it is."""
    found = []
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                count = len(names) - (names[:1] in (["self"], ["cls"]))
                found.append((count, f"{path.relative_to(CORE.parent)}: {node.name}"))
    return found


def public(files: dict[Path, str]) -> int:
    """Functions, classes and constants of files without an underscore; methods do not count."""
    count = 0
    for text in files.values():
        for node in ast.parse(text).body:
            names: list[str] = []
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            count += sum(not name.startswith("_") for name in names)
    return count


if __name__ == "__main__":
    main()
