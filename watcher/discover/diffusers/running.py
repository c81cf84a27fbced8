"""The script that trains into a folder on this machine now, by its command line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from watcher.discover.running import Running, meant
from watcher.launch import launch_words


def running(folder: Path) -> Running | None:
    """Find the script whose `--output_dir` is a folder; None where there is none, or two that differ.

    A launcher, its child and the processes of several GPUs all say the same; the youngest of them counts.
    """
    found = meant(lambda one: _trains_into(one, folder))
    if not found or any((one.cwd, options(one.argv)) != (found[0].cwd, options(found[0].argv)) for one in found):
        return None
    return max(found, key=lambda one: one.started_at)


@lru_cache(maxsize=256)
def options(argv: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    """Read a script's options as argparse does: `--validation_prompts "a cat" "a dog"` has two values.

    The first script is meant: a data set may be one as well (`--dataset_name fill50k.py`), and so may a prompt end.
    """
    return launch_words(argv, script=0)


def _trains_into(one: Running, folder: Path) -> bool:
    named = options(one.argv).get("output_dir", ())
    return bool(named) and os.path.realpath(one.cwd / named[-1]) == os.path.realpath(folder)
