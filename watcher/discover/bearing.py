r"""Prompts that a picture bears itself: in the file beside it, or in the notes that its maker left in it.

Forms: Stable Diffusion web UI, `modules/processing.py` (`create_infotext`): the prompt, then `Negative prompt: ...`,
then `Steps: 20, Sampler: ...`. EveryDream2, `utils/sample_generator.py`: the prompt, then `\n negative prompt: ...`,
then `\n seed: N`.
"""

from __future__ import annotations

import re
from pathlib import Path

from watcher.discover.captions import read_text
from watcher.errors import ConfigError
from watcher.notes import LONGEST

_SETTING = re.compile(r"^\s*(?:[Nn]egative prompt:|seed: *-?\d|Steps: *\d)", re.MULTILINE)


def prompt_in(text: str) -> str | None:
    """Give the prompt of a text that says how a picture was made: what comes before the negative prompt and settings.

    None where it is a program's data: ComfyUI notes its whole graph, in JSON, as `prompt`.
    """
    match = _SETTING.search(text)
    prompt = (text[: match.start()] if match else text).replace("\0", " ").strip()
    return None if _is_json(prompt) else prompt


def prompt_beside(picture: Path) -> str | None:
    """Read the prompt in the `.txt` file of a picture's stem; None where there is none (yet), or it is no prompt.

    A file without a byte in it has just been made: its writer is about to fill it.
    """
    path = picture.with_suffix(".txt")
    try:
        if not 0 < path.stat().st_size <= LONGEST:
            return None
        return prompt_in(read_text(path))
    except (OSError, ConfigError):
        return None


def _is_json(text: str) -> bool:
    """Tell a JSON object or a list of them; `{a|b}` and `[cat]` are a prompt's."""
    return bool(re.match(r'\{\s*["}]|\[\s*\{', text))
