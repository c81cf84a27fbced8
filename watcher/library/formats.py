"""Prompts as the trainers read them. What each reads was taken from its source, as is said with each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from watcher.library.prompts import Entry

SEED = 42
"""Of every picture, so that those of two checkpoints, or of two trainings, begin at the same noise."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write prompts into a file."""

    write: Callable[[Sequence[Entry]], str]
    where: str
    """What to do with the file."""


def _simpletuner(entries: Sequence[Entry]) -> str:
    """Write an object of short name to prompt, which all its versions read (`prompt_library_service.py`)."""
    return _json({one.key: one.text for one in entries})


def _lines(entries: Sequence[Entry]) -> str:
    """Write a prompt a line; sd-scripts cuts a line at ` --` and skips it at `#`, which no prompt here holds."""
    return "".join(f"{one.text}\n" for one in entries)


def _kohya(entries: Sequence[Entry]) -> str:
    """Write a prompt a line with a seed (`train_util.py`, `line_to_prompt_dict`)."""
    return "".join(f"{one.text} --d {SEED}\n" for one in entries)


def _ai_toolkit(entries: Sequence[Entry]) -> str:
    """Write the `sample:` block of a process, whose `prompts:` are texts; JSON strings are YAML strings."""
    lines = [f"    - {json.dumps(one.text, ensure_ascii=False)}\n" for one in entries]
    return f"sample:\n  seed: {SEED}\n  walk_seed: false\n  prompts:\n" + "".join(lines)


def _onetrainer(entries: Sequence[Entry]) -> str:
    """Write a list of sample definitions; what is not said has OneTrainer's default (`SampleConfig.py`)."""
    return _json([{"enabled": True, "prompt": one.text, "seed": SEED, "random_seed": False} for one in entries])


def _categories(entries: Sequence[Entry]) -> str:
    """Write an object of key to prompt and category, which `watcher` reads wherever it reads prompts."""
    return _json({one.key: {"prompt": one.text, "category": one.category} for one in entries})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


FORMATS: Mapping[str, Format] = {
    "simpletuner": Format(_simpletuner, "name the file as `user_prompt_library` in its configuration"),
    "kohya": Format(_kohya, "name the file, with the suffix .txt, as `--sample_prompts`"),
    "ai-toolkit": Format(_ai_toolkit, "put these keys into `sample:` of the job's `config: process:`"),
    "onetrainer": Format(
        _onetrainer, "name the file as `sample_definition_file_name`, by default training_samples/samples.json"
    ),
    "txt": Format(_lines, "a prompt a line, for any trainer that reads such a file"),
    "json": Format(_categories, "key, prompt and category, for programs, and for `prompts:` of watcher.yaml"),
}
