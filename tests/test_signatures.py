"""What functions take: few parameters, and defaults that are typed in one place."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from docs_pages import PAGES
from test_docs import commands

from flows.commands import demo, restore, retrain, review, train
from flows.evaluate import evaluate as evaluate_flow
from flows.restore import restore as restore_flow
from flows.retrain import retrain as retrain_flow
from flows.synthesize import synthesize as synthesize_flow
from oldphoto_core.degradation.synthesis import SynthesisConfig
from oldphoto_core.evaluation import EvaluationConfig
from oldphoto_core.inference.network_options import NetworkOptions
from oldphoto_core.pipeline.options import RestoreOptions
from oldphoto_core.restoration import RestoreJob, job_of
from oldphoto_core.retraining import RetrainConfig

ROOT = Path(__file__).parents[1]
MOST = 12
"""Parameters of a function. Those of commands and flows are what users set by name, and come from dataclasses."""
RESTORATION = (NetworkOptions, RestoreOptions, RestoreJob)
TAKEN_FROM_DATACLASSES: dict[str, tuple[Callable[..., Any], tuple[type, ...]]] = {
    "the command restore": (restore.restore, RESTORATION),
    "the flow restore": (restore_flow.fn, RESTORATION),
    "the command review": (review.review, (NetworkOptions,)),
    "the command demo": (demo.demo, (NetworkOptions,)),
    "the flow synthesize": (synthesize_flow.fn, (SynthesisConfig,)),
    "the flow evaluate": (evaluate_flow.fn, (EvaluationConfig,)),
    "the flow retrain": (retrain_flow.fn, (RetrainConfig,)),
}
OTHER_WAY_ROUND = {"masks_only": "detect", "no_report": "report"}
"""Options that switch off what a field switches on."""


def functions(folder: Path) -> Iterator[tuple[str, int]]:
    """("file: name", how many parameters) of every function; `self` and `cls` do not count."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                yield f"{path.relative_to(ROOT)}: {node.name}", len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("folder", ["oldphoto_core", "tasks"])
def test_a_function_has_at_most_12_parameters(folder: str) -> None:
    assert {name: count for name, count in functions(ROOT / folder) if count > MOST} == {}


@pytest.mark.parametrize("name", TAKEN_FROM_DATACLASSES)
def test_a_default_is_typed_in_its_dataclass_alone(name: str) -> None:
    function, kinds = TAKEN_FROM_DATACLASSES[name]
    known = {each.name for kind in kinds for each in fields(kind)} | OTHER_WAY_ROUND.keys()
    tree = ast.parse(inspect.getsource(function))
    (node,) = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == function.__name__)
    last = node.args.args[-len(node.args.defaults) :]
    typed = {
        parameter.arg: ast.unparse(default)
        for parameter, default in zip(last, node.args.defaults, strict=True)
        if parameter.arg in known and isinstance(default, ast.Constant)
    }
    # as text with a unit, which is a number in the dataclass
    assert {parameter for parameter in typed if parameter not in ("memory", "keys")} == set()


def test_without_options_command_and_flow_restore_as_the_dataclasses_say() -> None:
    plain = job_of(source="old", target="new")
    given = {name: each.default for name, each in inspect.signature(restore_flow.fn).parameters.items()}
    assert job_of(**{**given, "source": "old", "target": "new"}) == plain
    command = {name: each.default for name, each in inspect.signature(restore.restore).parameters.items()}
    taken = {name: default for name, default in command.items() if name not in restore.NOT_THE_FLOWS}
    assert {name: given[name] for name in taken} == taken


@pytest.mark.parametrize(
    ("command", "config"),
    [
        (train.synthesize, SynthesisConfig()),
        (train.evaluate, EvaluationConfig()),
        (retrain.retrain, RetrainConfig(incoming="", clean="", registry="")),
    ],
)
def test_options_of_commands_that_import_nothing_heavy_have_the_defaults_of_their_dataclass(
    command: Callable[..., None], config: Any
) -> None:
    for name, parameter in inspect.signature(command).parameters.items():
        # None: the settings of each stage decide
        if hasattr(config, name) and parameter.default not in (None, inspect.Parameter.empty):
            expected = getattr(config, name)
            assert parameter.default == getattr(expected, "name", expected), name


ROW = re.compile(r"^\| `(--[a-z-]+)[^`|]*(?:\\\|[^`|]*)*` \| `?([\w.]+)`? \|", re.MULTILINE)
"""Of a table about options: the option, and a default that is one word or number."""


def defaults_of(option: str) -> set[str]:
    """As commands have them, numbers as short as can be; of options that have no value unless given, none."""
    found = [each.default for _, command in commands() for each in command.params if option in each.opts]
    return {f"{default:g}" if isinstance(default, int | float) else str(default) for default in found if default}


def test_defaults_that_the_docs_tell_are_those_of_the_options() -> None:
    tables = [(page.name, part) for page in PAGES for part in page.read_text().split("\n\n") if "| default |" in part]
    told = [(page, *row) for page, table in tables for row in ROW.findall(table)]
    known = [(page, option, default) for page, option, default in told if defaults_of(option)]
    assert len(known) > 20
    zero_or_none = ("0", "none", "off", "all")
    assert [row for row in known if row[2] not in (*defaults_of(row[1]), *zero_or_none)] == []
