"""How a network is run."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "float32", "float16", "bfloat16"]
