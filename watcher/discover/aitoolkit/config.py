"""The `config.yaml` that ai-toolkit writes into its output folder at every start.

Sources: ai-toolkit, `jobs/process/BaseTrainProcess.py` (`save_training_config`), `toolkit/config_modules.py`
(`SampleConfig`, `SampleItem`, `GenerateImageConfig._process_prompt_string`) and `jobs/process/BaseSDTrainProcess.py`
(`sample`, and what is sampled before the first step).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from watcher.discover.running import Running, leads_to, running
from watcher.launch import LARGEST
from watcher.smallfile import UnfitError, kept

CONFIG = "config.yaml"
YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Config:
    """A job's settings, of which only the process that samples matters."""

    path: Path
    name: str
    process: Mapping[str, Any]

    def section(self, name: str) -> Mapping[str, Any]:
        """Give a section of the process; empty where there is none."""
        found = self.process.get(name)
        return found if isinstance(found, dict) else {}

    def number(self, section: str, name: str, default: int) -> int:
        """Give a whole number; the default where it is not set, or is none."""
        found = self.section(section).get(name, default)
        return found if isinstance(found, int) and not isinstance(found, bool) else default

    def flag(self, section: str, name: str) -> bool:
        """Tell whether a switch is on."""
        return bool(self.section(section).get(name))

    def text(self, name: str) -> str:
        """Give a setting of the process itself; empty where it is not set."""
        found = self.process.get(name)
        return found if isinstance(found, str) else ""

    def prompts(self) -> dict[str, str]:
        """Give the prompts that are sampled all along, by their number."""
        return _numbered(self.section("sample"))

    def first_prompts(self) -> dict[str, str]:
        """Give those prompts of `first_sample` that are others than the usual ones of the same number."""
        usual = self.prompts()
        return {key: text for key, text in _numbered(self.section("first_sample")).items() if usual.get(key) != text}

    def ambiguous(self) -> list[str]:
        """Give the numbers under which step 0 has two pictures of different prompts.

        `first_sample` is sampled at step 0, and after it the usual prompts, unless `skip_first_sample` is set.
        """
        both = not self.flag("train", "skip_first_sample")
        return [key for key in self.first_prompts() if both and key in self.prompts()]


def read_config(folder: Path) -> Config | str:
    """Read a run's configuration; where that cannot be done, say why."""
    return _read_at(folder / CONFIG)


def _read_at(path: Path) -> Config | str:
    try:
        return _read(path)
    except UnfitError as error:
        return f"{path} {error}"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def find_config(folder: Path) -> Config | str:
    """Read a run's configuration, else that which a running job into this folder was started with; or say why not.

    ai-toolkit is told the file by its name alone, and `--name` in place of `[name]` in it (`run.py`).
    """
    found = read_config(folder)
    if isinstance(found, Config):
        return found
    process = running(lambda one: _told(one, folder) is not None)
    return (_told(process, folder) if process else None) or found


def _told(process: Running, folder: Path) -> Config | None:
    for path in process.files:
        if path.suffix not in YAML or not process.has_read(path):
            continue
        config = _read_at(path)
        name = process.settings.get("name") or process.settings.get("n")
        if isinstance(config, Config) and (into := config.text("training_folder")):
            named = config.name.replace("[name]", name or "[name]")
            if leads_to(process.cwd, f"{into}/{named}", os.path.realpath(folder)):
                return config
    return None


@kept(2**14, LARGEST)
def _read(path: Path) -> Config | str:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - of tags such as `!!int ''` PyYAML raises whatever Python does
        return f"{path} is no YAML: {str(error).partition(chr(10))[0]}"
    job = data.get("config") if isinstance(data, dict) and "job" in data else None
    listed = job.get("process") if isinstance(job, dict) else None
    processes = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    sampling = next((one for one in processes if isinstance(one.get("sample"), dict)), None)
    if sampling is None or not isinstance(job, dict):
        return f"{path} is no configuration of ai-toolkit that samples"
    return Config(path, str(job.get("name", "")), {"log_dir": job.get("log_dir"), **sampling})


def _numbered(section: Mapping[str, Any]) -> dict[str, str]:
    """Number the prompts as ai-toolkit does: `samples` wins over `prompts`, and what has no prompt does not count."""
    items = section.get("samples", section.get("prompts"))
    listed = items if isinstance(items, list) else []
    prompts = [item.get("prompt") if isinstance(item, dict) else item for item in listed]
    return {str(number): _text(one) for number, one in enumerate(one for one in prompts if one is not None)}


def _text(prompt: object) -> str:
    """Cut the flags off, such as `--w 512`, wherever `--` stands."""
    text = str(prompt).split("--")[0].strip()
    # YAML can say half of a character (a lone surrogate), which no store and no tokenizer takes.
    return text.encode("utf-8", "replace").decode()
