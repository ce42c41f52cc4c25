"""How a network is run."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "float32", "float16", "bfloat16"]
"""Of a network's arithmetic. `auto`: float16 on CUDA; on a CPU bfloat16 for photos of 8 bits where the processor
multiplies it and the network bears it (`Preset.bears_bfloat16`), else float32."""
Arithmetic = Literal["float32", "float16", "bfloat16"]
"""The same, decided."""
