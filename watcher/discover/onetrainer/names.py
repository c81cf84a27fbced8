"""The names that OneTrainer gives to samples, backups and configurations.

Sources: OneTrainer, `modules/trainer/GenericTrainer.py` (`__sample_loop`, `__backup`, `__save_config_to_workspace`),
`modules/util/TrainProgress.py` (`filename_string`), `modules/util/path_util.py` (`safe_filename`).
"""

from __future__ import annotations

import re
from pathlib import PurePath

from watcher.discover.layout import Facts

SAMPLES = "samples"
NO_EMA = "no-ema"
"""Variant of the raw weights' pictures, where the training keeps an average of them (EMA) as well."""
SHOWN = 32
"""Characters of a prompt that the name of its folder has at most."""
_NUMBER = "(?:0|[1-9][0-9]{0,17})"
_STAMP = r"(?P<stamp>[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2})"
_PROGRESS = rf"(?P<step>{_NUMBER})-(?P<epoch>{_NUMBER})-{_NUMBER}"
_FOLDER = re.compile(rf"(?P<key>{_NUMBER} - .{{0,{SHOWN}}}?)(?P<no_ema> - {NO_EMA})?")
_SAMPLE = re.compile(rf".*{_STAMP}-training-sample-{_PROGRESS}\.(?:jpg|png)", re.DOTALL)
_BACKUP = re.compile(rf"{_STAMP}-backup-{_PROGRESS}")
_CONFIG = re.compile(rf".*{_STAMP}\.json", re.DOTALL)


def safe(prompt: str) -> str:
    """Give what of a prompt stands in a folder's name: letters, digits and ` ._-#`, 32 of them at most."""
    kept = "".join(one for one in prompt if one.isalnum() or one in " ._-#").strip()
    return kept[:SHOWN].strip()


def key_of(number: int, prompt: str) -> str:
    """Give the key of a prompt: the name of the folder that its samples lie in."""
    return f"{number} - {safe(prompt)}"


def parse_sample(relative: PurePath) -> Facts | None:
    """Read the path of a sample, relative to the workspace; None where it is none, or one made by hand."""
    if len(relative.parts) != 3 or relative.parts[0] != SAMPLES:
        return None
    folder, file = _FOLDER.fullmatch(relative.parts[1]), _SAMPLE.fullmatch(relative.name)
    if folder is None or file is None:
        return None
    variant = NO_EMA if folder["no_ema"] else ""
    return Facts(int(file["step"]), folder["key"], variant=variant, epoch=float(file["epoch"]))


def is_prompt_folder(name: str) -> bool:
    """Tell whether a folder is named as one that a prompt's samples lie in."""
    return _FOLDER.fullmatch(name) is not None


def backup_step(name: str) -> int | None:
    """Give the step that the name of a backup's folder says; None where it is no such name."""
    match = _BACKUP.fullmatch(name)
    return int(match["step"]) if match else None


def config_stamp(name: str) -> str | None:
    """Give when a configuration was written, in local time as its name says; None where it is no such name."""
    match = _CONFIG.fullmatch(name)
    return match["stamp"] if match else None
