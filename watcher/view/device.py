"""Where scoring runs and why, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def chosen(scorer: Mapping[str, Any]) -> str:
    """Say which device was chosen; empty where the user fixed it, none is known yet, or it is a fallback."""
    device = _device(scorer)
    return "" if not device or scorer.get("fallback") else f"scoring runs on {device}"


def fallback(scorer: Mapping[str, Any]) -> str:
    """Say where scoring fell back to, why, and what would change that; empty where it did not."""
    device = _device(scorer)
    if not device or not scorer.get("fallback"):
        return ""
    if not device.startswith("cpu"):
        return f"scoring runs on {device}"
    share = "`device: shared` uses a GPU beside its training; " if "in use" in device else ""
    return (
        f"scoring fell back to the CPU, at the lowest priority and on few cores: {device}; {share}"
        "`device: cpu` says that it is meant"
    )


def _device(scorer: Mapping[str, Any]) -> str:
    device = str(scorer.get("device", ""))
    return device if scorer.get("state") == "ok" and not device.endswith("(set in the configuration)") else ""
