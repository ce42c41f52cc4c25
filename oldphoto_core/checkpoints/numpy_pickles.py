"""Pickles of numpy arrays, read by a reader that knows arrays alone: nothing in a file is ever run."""

from __future__ import annotations

import io
import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oldphoto_core.errors import DamagedWeights

KINDS = {"f2", "f4", "f8"}
"""Types of numbers that weights have."""

DEEPEST = 16
"""Dictionaries within each other; weights of networks need three or four, one that contains itself has no end."""


class _Dtype:
    """Takes the place of numpy.dtype: keeps what the pickle says."""

    def __init__(self, kind: str, *_: object) -> None:
        self.kind, self.order = kind, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def read(self) -> np.dtype[Any]:
        if self.kind not in KINDS or self.order not in ("<", ">"):
            raise ValueError(f"its numbers are of type {self.order!r}{self.kind!r}")
        return np.dtype(self.order + self.kind)


class _Array:
    """Takes the place of numpy.ndarray and of the function that makes an empty one."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def read(self) -> NDArray[Any]:
        _, shape, dtype, fortran, data = self.state
        if not (isinstance(dtype, _Dtype) and isinstance(data, bytes) and isinstance(shape, tuple)):
            raise TypeError("an array has no numbers")
        numbers = np.frombuffer(data, dtype.read())
        if not all(isinstance(side, int) and side >= 0 for side in shape) or math.prod(shape) != numbers.size:
            raise ValueError(f"an array of shape {shape} has {numbers.size} numbers")
        return numbers.reshape(shape, order="F" if fortran else "C")


_KNOWN: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}


class _Reader(pickle.Unpickler):
    """Knows the four names that a pickled array needs, and has stand-ins of this file for them."""

    def find_class(self, module: str, name: str) -> type:
        """Return the stand-in; ValueError for any other name."""
        if (module, name) not in _KNOWN:
            raise ValueError(f"it asks for {module}.{name}, which arrays never need")
        return _KNOWN[module, name]


def read_arrays(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a pickled tree of dictionaries by "/"-separated path.

    `name` is for the message of DamagedWeights, which is raised for anything else than such a tree.
    """
    try:
        return _flattened(_Reader(io.BytesIO(data)).load(), ())
    # a damaged pickle can raise anything at all
    except Exception as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise DamagedWeights(f"{name} cannot be read as arrays of numbers ({why}); fetch it again") from error


def _flattened(tree: Any, path: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    where = "/".join(path)
    if isinstance(tree, _Array):
        return {where: tree.read()}
    if len(path) > DEEPEST:
        raise ValueError(f"{where} is more than {DEEPEST} dictionaries deep")
    if not isinstance(tree, dict) or not all(isinstance(key, str) for key in tree):
        raise TypeError(f"{where or 'it'} is a {type(tree).__name__}")
    found: dict[str, NDArray[Any]] = {}
    for key, value in tree.items():
        found |= _flattened(value, (*path, key))
    return found
