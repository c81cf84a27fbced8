"""Tests that need a CUDA device say so, and are skipped without one."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _needs_cuda() -> None:
    import torch  # here, for it takes seconds, and collecting tests should not

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device, or a torch without CUDA")
