"""JSON of model cards, photo lists and promotions, read with suspicion: each value has its type and range, or is named.

Who may write to a folder of models may write anything into its JSON, and what is read here decides which network is
built, which file is read and where a pixel counts as damaged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_BYTES = 2**26
"""Of one JSON file; a list of 100,000 photos is a quarter of that."""
DEPTH = 32
"""Of nested lists and objects; a card has 5."""
_SHOWN = 60
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Check = Callable[[Any], bool]


class OddValue(ValueError):
    """What is wrong with a JSON file, in words; its readers turn it into an error of theirs."""


def read_json(text: str | bytes) -> Any:
    """The values of JSON text; OddValue for what is no JSON, or nothing that anybody can handle."""
    if len(text) > MAX_BYTES:
        raise OddValue(f"it has {len(text)} bytes, at most {MAX_BYTES} are read")
    try:
        values = json.loads(text)
        json.dumps(values, ensure_ascii=False).encode()
    except RecursionError:
        raise OddValue("its lists are nested too deep") from None
    except UnicodeError:
        raise OddValue("it holds text that is not UTF-8") from None
    except ValueError as error:
        raise OddValue(f"it is not JSON: {error}") from None
    if _depth(values) > DEPTH:
        raise OddValue(f"its lists are nested more than {DEPTH} deep")
    return values


def check_fields(values: Any, checks: Mapping[str, tuple[Check, str]], required: Iterable[str]) -> dict[str, Any]:
    """The object itself, if it has the required fields, no others than those of `checks`, and each as it must be."""
    if not isinstance(values, dict):
        raise OddValue(f"it is {_named(values)}, not an object")
    if missing := [name for name in required if name not in values]:
        raise OddValue(f"{missing[0]} is missing")
    for name, value in values.items():
        if name not in checks:
            raise OddValue(f"{_named(name)} is no field of it")
        fits, wanted = checks[name]
        if not fits(value):
            raise OddValue(f"{name} is {_named(value)}, not {wanted}")
    return values


def is_text(value: Any) -> bool:
    """A string."""
    return isinstance(value, str)


def is_texts(value: Any) -> bool:
    """A list of strings."""
    return isinstance(value, list) and all(map(is_text, value))


def is_table_of(fits: Check) -> Check:
    """An object each of whose values fits."""
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def is_count(value: Any) -> bool:
    """A whole number from 1, small enough for any use."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31


def is_share(value: Any) -> bool:
    """A number above 0 and up to 1; NaN and infinity are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def is_number(value: Any) -> bool:
    """A number of a size that arithmetic bears; NaN and infinity are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e6 < value < 1e6


def is_sha256(value: Any) -> bool:
    """64 hexadecimal digits."""
    return isinstance(value, str) and bool(_SHA256.fullmatch(value))


def is_file_name(value: Any) -> bool:
    """The name of a file beside the card."""
    return isinstance(value, str) and bool(_FILE.fullmatch(value))


def _depth(values: Any) -> int:
    """Without recursion, level by level."""
    depth, level = 0, [values]
    while level and depth <= DEPTH:
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        depth += 1
    return depth


def _named(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
