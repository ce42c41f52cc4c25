"""Messages as bytes: JSON of what their annotations state, and behind it all `bytes` as they are.

Whoever reads one gets the types that were asked for, all the way down, or an error: nothing in a message says what is
to be made of it.
"""

from __future__ import annotations

import functools
import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

MOST_CHARACTERS = 2000
"""Of what a decoder says in words, which goes into ledgers and logs."""


class BadMessage(Exception):
    """Bytes that are no message of the kind that was asked for."""

    def __init__(self, text: str) -> None:
        super().__init__(text[:MOST_CHARACTERS])


def packed(message: object) -> tuple[bytes, list[bytes]]:
    """A dataclass as JSON, and the bytes that belong behind it."""
    blobs: list[bytes] = []
    return json.dumps(_plain(message, blobs), separators=(",", ":")).encode(), blobs


def unpacked(body: bytes, blobs: memoryview, kind: type) -> Any:
    """What `packed` was given. Raises BadMessage for anything but an instance of the dataclass `kind`."""
    try:
        return _Reader(blobs).value(json.loads(body), kind)
    except BadMessage:
        raise
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"no message: {error}") from error


def _plain(value: Any, blobs: list[bytes]) -> Any:
    if isinstance(value, bytes):
        blobs.append(value)
        return len(value)
    if isinstance(value, (tuple, frozenset)):
        return [_plain(one, blobs) for one in value]
    if isinstance(value, Mapping):
        return [[_plain(key, blobs), _plain(one, blobs)] for key, one in value.items()]
    if is_dataclass(value):
        kind: type = type(value)
        return [_plain(getattr(value, name), blobs) for name, _ in _fields(kind)]
    return value


class _Reader:
    """Takes one blob after another, each byte once."""

    def __init__(self, blobs: memoryview) -> None:
        self._blobs, self._at = blobs, 0

    def value(self, plain: Any, kind: Any) -> Any:
        """The value of this kind that JSON holds, or BadMessage."""
        origin, inner = get_origin(kind), get_args(kind)
        if origin in (Union, types.UnionType):
            return self._one_of(plain, inner)
        if origin is Literal:
            return self._checked(plain, type(plain) is str and plain in inner, kind)
        if kind is bytes:
            return self._bytes(plain)
        if kind is float:
            return float(self._checked(plain, type(plain) in (int, float), kind))
        if kind in (int, str, bool, type(None)):
            return self._checked(plain, type(plain) is kind, kind)
        return self._many(self._checked(plain, type(plain) is list, kind), kind, origin, inner)

    def _many(self, plain: list[Any], kind: Any, origin: Any, inner: tuple[Any, ...]) -> Any:
        if is_dataclass(kind):
            hints = _fields(kind)  # type: ignore[arg-type]
            self._checked(plain, len(plain) == len(hints), kind)
            named = {name: self.value(one, hint) for one, (name, hint) in zip(plain, hints, strict=True)}
            return kind(**named)  # type: ignore[operator]
        if origin is tuple and inner[-1] is not Ellipsis:
            self._checked(plain, len(plain) == len(inner), kind)
            return tuple(map(self.value, plain, inner))
        if origin in (tuple, frozenset):
            return origin(self.value(one, inner[0]) for one in plain)
        if origin is Mapping:
            return dict(self.value(pair, tuple[inner]) for pair in plain)  # type: ignore[valid-type]
        raise TypeError(f"messages do not know {kind}")

    def _one_of(self, plain: Any, kinds: tuple[Any, ...]) -> Any:
        """Of a kind or None: two kinds that JSON writes alike are not told apart."""
        if plain is None and type(None) in kinds:
            return None
        (kind,) = (one for one in kinds if one is not type(None))
        return self.value(plain, kind)

    def _bytes(self, size: Any) -> bytes:
        self._checked(size, type(size) is int and 0 <= size <= len(self._blobs) - self._at, bytes)
        self._at += size
        return bytes(self._blobs[self._at - size : self._at])

    def _checked(self, plain: Any, fits: bool, kind: Any) -> Any:
        if not fits:
            raise BadMessage(
                f"a message states a {type(plain).__name__} where {getattr(kind, '__name__', kind)} belongs"
            )
        return plain


@functools.cache
def _fields(kind: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in fields(kind))
