"""Where things lie, for tests that give them to another process."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository."""
SUPPORT = Path(__file__).parent
"""Helpers of the tests, which pytest has on its path (pyproject.toml) and another process has not."""


def python_path(*first: Path) -> str:
    """PYTHONPATH of a process that imports the project, the helpers, and what lies in the folders given."""
    return os.pathsep.join(str(place) for place in (*first, ROOT, SUPPORT))
