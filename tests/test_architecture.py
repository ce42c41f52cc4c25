"""The page about the architecture names modules and names that exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs/architecture.md").read_text()
NAMES = sorted(set(re.findall(r"`((?:oldphoto_core|flows|tasks)(?:\.\w+)+)`", PAGE)))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_names_is_there(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        assert hasattr(importlib.import_module(module), member)


def test_the_page_tells_of_every_stage_in_order() -> None:
    from oldphoto_core.pipeline.stages import STAGES

    told = re.findall(r"^\| `(\w+)` \| (Dask|network)", PAGE, re.MULTILINE)
    assert told == [(stage.name, {"dask": "Dask", "network": "network"}[stage.thread]) for stage in STAGES]


def test_the_page_names_enough_to_be_held_to_something() -> None:
    assert len(NAMES) > 30
