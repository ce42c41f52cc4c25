"""One thing that was looked at."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "bad"]
_SECRET = re.compile(r"SECRET|TOKEN|PASSW|CREDENTIAL|KEY", re.IGNORECASE)
_SHORTEST = 4
"""Characters of a value that is taken for a secret: shorter ones stand everywhere by chance."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing."""

    topic: str
    name: str
    state: State
    """ok; note: something optional is missing; bad: something that a restoration needs does not work."""
    value: str
    """What was found or, of what does not work, what to do about it."""


def redacted(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text without the value of any environment variable that is called like a secret."""
    values = {value for name, value in environment.items() if _SECRET.search(name) and len(value) >= _SHORTEST}
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "***")
    return text
