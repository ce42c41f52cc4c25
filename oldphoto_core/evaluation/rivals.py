"""Rivals that need no training, by the names that `--rivals` and studies take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from oldphoto_core.errors import UsageError
from oldphoto_core.evaluation.compare import Method
from oldphoto_core.evaluation.deep_prior import deep_prior_restore
from oldphoto_core.evaluation.sequential import sequential_restore

RIVALS: Mapping[str, tuple[str, Method]] = MappingProxyType({
    "sequential": ("sequential: denoise, inpaint, sharpen", sequential_restore),
    "dip": ("deep image prior", deep_prior_restore),
})  # fmt: skip
"""Name -> its row in tables, and the method."""


def rival_methods(names: Sequence[str]) -> dict[str, Method]:
    """Return the rows of these rivals, in their order. Raises UsageError for a name that is none."""
    for name in names:
        if name not in RIVALS:
            raise UsageError(f"{name!r} is no rival; choose from {', '.join(RIVALS)}")
    return dict(RIVALS[name] for name in names)
