"""The precisions that a model may calculate in; normalising and the cosine are always fp32."""

from __future__ import annotations

from typing import Literal

Precision = Literal["fp32", "bf16", "fp16"]
TORCH: dict[str, str] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""What torch calls them."""
BYTES: dict[str, int] = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Of one weight."""
TOLERANCE: dict[str, float] = {"fp32": 1e-4, "bf16": 1e-2, "fp16": 2e-3}
"""How far a cosine may be from that of one picture at a time in fp32 on a CPU, as measured; docs/scoring.md."""
