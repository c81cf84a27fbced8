"""How a trainer was started: its command line and the configuration file that it names, as one mapping of settings."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from watcher.smallfile import kept

FILES = ("config_file", "config")
"""Options that name a configuration file: sd-scripts' `--config_file`, and `--config` of others."""
LARGEST = 4 * 2**20
"""Bytes; no configuration is larger."""
_OUTPUTS = (
    *("output_dir", "workspace_dir", "out_dir", "outdir", "output_folder", "output_path", "save_dir", "work_dir"),
    *("output", "out", "o"),
)
"""Options that name the folder of a run, as it is given to the trainers that are known and to scripts like theirs."""
_STRING_OR_COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*")|#[^\n]*')
_OUTPUT = re.compile(r"out|save|default.root|(work|run)[_.-]?dir|workspace", re.I)
_INPUT = re.compile(r"from|in(it|put)|load|resume|pretrain|data|eval", re.I)
_OPTION = re.compile(r"--?(?P<name>[A-Za-z][\w.-]*)(?:=(?P<value>.*))?", re.DOTALL)


def launch_settings(argv: Sequence[str], cwd: Path) -> dict[str, str]:
    """Merge the options of a command line and those of the TOML, JSON or YAML file that `--config_file` names.

    Gives texts by name, dashes as underscores: `--output-dir=out` is `output_dir`; an option without a value is `true`,
    of several values the first counts. Sections of the file are flattened, what the command line says wins. What
    stands before the script belongs to a launcher and is left out. A relative file counts from `cwd`, the process's
    working folder, as do relative paths among the values, which stay as they are. A file that cannot be read is
    ignored.

    Source: sd-scripts, `library/train_util.py`, `read_config_from_file`, which also appends a missing `.toml`.
    """
    given = dict(_options(_own(argv)))
    named = next((given[name] for name in FILES if name in given), "")
    return {**(file_settings(cwd / named) if named else {}), **given}


def launch_words(argv: Sequence[str], script: int = -1) -> dict[str, tuple[str, ...]]:
    """Give all words that follow each option, by its name as in `launch_settings`; under an empty name, those before.

    An option that is given twice has what it was given last. Of several scripts the last is the trainer's, as a
    launcher may be one too; `script` says which where values of the trainer's options may be scripts.
    """
    found: dict[str, tuple[str, ...]] = {"": ()}
    name = ""
    for part in _own(argv, script):
        if match := _OPTION.fullmatch(part):
            name = match["name"].replace("-", "_")
            found[name] = () if match["value"] is None else (match["value"],)
        else:
            found[name] += (part,)
    return found


def is_output(option: str) -> bool:
    """Tell by its name whether an option says where to write: `output_dir`, `o`, `save_path`, ...

    `output_name` says how, not where.
    """
    if option.replace("-", "_") == "output_name":
        return False
    plainly = option == "o" or option.rsplit(".", 1)[-1].lower().startswith("out")
    return plainly or bool(_OUTPUT.search(option) and not _INPUT.search(option))


def output_folder(argv: Sequence[str], cwd: Path) -> Path | None:
    """Give the folder that a training which is started like this will write to; None where that is not known.

    It need not exist yet. diffusion-pipe makes a new one at every start, a GUI is told later: both are not known.

    Sources: sd-scripts, diffusers' examples, SimpleTuner and musubi-tuner: `--output_dir`; OneTrainer,
    `scripts/train.py --config-path` and `workspace_dir`; ai-toolkit, `run.py FILE` and its `training_folder`;
    diffusion-pipe, `train.py --deepspeed --config FILE`.
    """
    given = launch_settings(argv, cwd)
    if "deepspeed" in given and "config" in given:
        return None
    if "config_path" in given:
        given = {**file_settings(cwd / given["config_path"]), **given}
    named = [given[name] for name in _OUTPUTS if given.get(name, "true") not in ("", "true")]
    if named:
        return cwd / named[0]
    job = next(iter(launch_words(argv)[""]), "")
    return _job_folder(cwd / job, cwd) if job.endswith((".yaml", ".yml", ".json")) else None


def _job_folder(file: Path, cwd: Path) -> Path | None:
    """Give where an ai-toolkit job trains; `[name]` in its name would be the command line's."""
    try:
        job = _parse(file.suffix, file.read_text(encoding="utf-8"))["config"]
        folder, name = job["process"][0]["training_folder"], job["name"]
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return None
    return cwd / str(folder) / str(name) if "[" not in str(name) else None


def file_settings(path: Path) -> dict[str, str]:
    """Give the settings of a configuration file, sections flattened; none where it cannot be read."""
    for place in (path, path.with_name(path.name + ".toml")):
        try:
            return dict(_read(place))
        except (OSError, ValueError):  # not there, no configuration, or no path at all
            continue
    return {}


def _own(argv: Sequence[str], script: int = -1) -> Sequence[str]:
    """Give what follows the script: `accelerate launch --config_file theirs train.py --config_file ours`."""
    scripts = [place for place, part in enumerate(argv) if part.endswith(".py") and not part.startswith("-")]
    return argv[scripts[script] + 1 :] if scripts else argv[1:]


def _options(parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for part, following in pairwise((*parts, "--")):
        if match := _OPTION.fullmatch(part):
            value = match["value"]
            if value is None:
                value = "true" if _OPTION.fullmatch(following) or following == "--" else following
            yield match["name"].replace("-", "_"), value


@kept(256, LARGEST)
def _read(path: Path) -> Mapping[str, str]:
    try:
        return dict(_flat(_parse(path.suffix, path.read_text(encoding="utf-8-sig"))))
    except (OSError, ValueError, RecursionError):
        return {}


def _parse(suffix: str, text: str) -> Any:
    """Read a file's text.

    Raises:
        ValueError: it is none of these formats.

    """
    if suffix == ".toml":
        return tomllib.loads(text)
    if suffix == ".json":
        return load_json(text)
    import yaml

    try:
        return yaml.safe_load(text) if suffix in (".yaml", ".yml") else {}
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def load_json(text: str) -> Any:
    """Parse JSON that may hold `#` comments, as SimpleTuner's files may.

    Raises:
        ValueError: it is no JSON.

    """
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(without_comments(text))


def without_comments(text: str) -> str:
    """Take `#` comments out of JSON; every line stays the line that it was."""
    return _STRING_OR_COMMENT.sub(lambda match: match[1] or "", text)


def _flat(data: Any) -> Iterator[tuple[str, str]]:
    """Give the settings of all sections; keys may bear the dashes of the command line."""
    for key, value in data.items() if isinstance(data, dict) else ():
        if isinstance(value, dict):
            yield from _flat(value)
        elif value is not None:
            yield str(key).lstrip("-").replace("-", "_"), _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(part) for part in value) if isinstance(value, list) else str(value)
