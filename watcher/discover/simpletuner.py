"""SimpleTuner's output folder.

Sources: SimpleTuner 4.8, `helpers/training/validation_images.py` (file names), `helpers/training/validation.py`
(what the pictures show), `helpers/training/trainer.py` (checkpoints), and its prompt library service.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, ClassVar

from watcher.discover.layout import Checkpoint, Facts, Layout, Prompts
from watcher.discover.prompts import load_json, read_prompts

IMAGES = "validation_images"
DEFAULT_OUTPUT = "simpletuner-results"
BASE = PurePath("benchmarks/base_model")
_SIZE = r"(?P<size>\d+x\d+|unknown|\(\d+, \d+\))"
_SAMPLE = re.compile(
    rf"step_(?P<step>\d{{1,18}})_(?P<short>.+?)(?:_(?P<index>\d{{1,18}}))?_{_SIZE}\.(?:png|webp|jpe?g)"
)
_BASE = re.compile(rf"(?P<short>.+)_{_SIZE}\.png")
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,18})")
_ADAPTER = re.compile(r"(?P<short>.+)__(?P<slug>[a-z0-9_]+)")
_NUMBERS = re.compile(r"\d+")
_OWN_PROMPTS = ("validation_prompt_library", "validation_using_datasets", "validation_input")
"""Settings that bring in prompts that stand in no file of the user's."""


class SimpleTuner(Layout):
    """SimpleTuner: `validation_images/step_{step}_{shortname}_{index}_{W}x{H}.png` and its older names.

    Format: SimpleTuner 4.8, `helpers/training/validation_images.py`, and back to 0.9. A name without an index whose
    shortname ends in a number (`cat_2`, before 3.0) cannot be told from image 2 of `cat`, and is read as that.

    By default these are display images: the prompt is written under the picture and the base model's picture
    stands beside it. CLIP reads text, so such a file is never scored; it is told by its size.
    """

    name: ClassVar[str] = "simpletuner"

    def detect(self, folder: Path) -> str:
        """Recognise the folder by SimpleTuner's image folder, or by a configuration that names it."""
        if (folder / IMAGES).is_dir():
            return f"has {IMAGES}/"
        config = find_config(folder)
        return f"is the output_dir of {config[0]}" if config else ""

    def sample_folders(self, folder: Path) -> list[Path]:
        """Give the folders of checkpoint and base model images."""
        return [folder / IMAGES, folder / BASE]

    def parse(self, relative: PurePath) -> Facts | None:
        """Read all forms of the name since 2024: with and without index, with a size as tuple."""
        if relative.parent == PurePath(IMAGES):
            return _sample(relative.name)
        if relative.parent == BASE and (match := _BASE.fullmatch(relative.name)):
            return Facts(0, match["short"], variant="base")
        return None

    def prompts(self, folder: Path, override: Path | None) -> Prompts:
        """Read the prompt library and the single prompt that the trainer's configuration names."""
        if override is not None:
            return read_prompts(override)
        found = find_config(folder)
        if found is None:
            fault = f"no SimpleTuner config of {folder} was found beside it; give `prompts:` for this run"
            return Prompts(fault=fault)
        return _library(*found)

    def expected(self, folder: Path, override: Path | None) -> int | None:
        """Count prompts x resolutions x images, the unconditional picture included; needs the configuration."""
        found = find_config(folder)
        if override is not None or found is None:
            return None
        path, settings = found
        library = _library(path, settings)
        images = _count(settings.get("num_validation_images", 1))
        if library.fault or any(_is_set(settings.get(name)) for name in _OWN_PROMPTS):
            return None
        return len(library.texts) * len(_resolutions(settings)) * images or None

    def flaw(self, folder: Path, facts: Facts, width: int, height: int) -> str:
        """Tell display images by their size: a clean image has exactly the size that was asked for."""
        if facts.variant == "base":  # written without text and panels
            return ""
        found = find_config(folder)
        wanted: set[tuple[int, int] | None] = set(_resolutions(found[1])) if found else {facts.size} - {None}
        if (width, height) in wanted:
            return ""
        asked = f"{_named(wanted)} was asked for" if wanted else "the size asked for is unknown"
        return f"display image: {width}x{height}, {asked} (SimpleTuner adds the prompt's text or other panels)"

    def checkpoints(self, folder: Path) -> list[Checkpoint]:
        """Give `checkpoint-{step}` folders that are whole by the file that SimpleTuner writes last.

        That is `.guard` since version 4.3.2; before it, accelerate's `random_states_*.pkl`. A run that has one guard
        is taken to write them all.
        """
        places = [path for path in folder.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name)]
        last = ".guard" if any((path / ".guard").is_file() for path in places) else "random_states_*.pkl"
        found = [_checkpoint(path, last) for path in places]
        return sorted((one for one in found if one), key=lambda one: one.written_at)

    def logging_folder(self, folder: Path) -> Path | None:
        """Give `{logging_dir}/{tracker_project_name}`, as accelerate's tracker joins them."""
        found = find_config(folder)
        settings = found[1] if found else {}
        base = folder / str(settings.get("logging_dir") or "logs")
        place = base / str(settings.get("tracker_project_name") or "simpletuner")
        return next((path for path in (place, base) if path.is_dir()), None)


def _sample(name: str) -> Facts | None:
    match = _SAMPLE.fullmatch(name)
    if match is None:
        return None
    short, variant = match["short"], ""
    if adapter := _ADAPTER.fullmatch(short):
        short, variant = adapter["short"], adapter["slug"]
    size = _size(match["size"])
    index = _by_size(size) if match["index"] is None else int(match["index"])
    return Facts(int(match["step"]), short, index, variant, size=size)


def _by_size(size: tuple[int, int] | None) -> int:
    """Number an image that its name does not number: before 3.0 only the size told those of one prompt apart."""
    return size[0] * 100_000 + size[1] if size else 0


def _size(label: str) -> tuple[int, int] | None:
    numbers = [int(number) for number in _NUMBERS.findall(label)]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def _checkpoint(path: Path, last: str) -> Checkpoint | None:
    step = int(path.name.removeprefix("checkpoint-"))
    try:
        (path / "training_state.json").stat()
        written = [file.stat().st_mtime for file in path.glob(last)]
    except OSError:  # not begun yet, or just rotated away
        return None
    return Checkpoint(step, path, max(written)) if written else None


def find_config(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Find the configuration whose `output_dir` is this folder, in the places where SimpleTuner is started.

    SimpleTuner reads `config/config.{json,toml}` or `config/<name>/config.{json,toml}` of its working folder.
    """
    for base in (folder, *list(folder.parents)[:3]):
        for pattern in ("config/config.*", "config/*/config.*", "config.*"):
            for path in sorted(base.glob(pattern)):
                settings = _config(path)
                if settings is not None and _is_output(settings, path, base, folder):
                    return path, settings
    return None


def _is_output(settings: Mapping[str, Any], path: Path, base: Path, folder: Path) -> bool:
    named = settings.get("output_dir")
    if not named and path.parent == folder:
        return True
    named = os.path.expanduser(str(named or DEFAULT_OUTPUT))  # noqa: PTH111 - an unknown user is no error here
    return any(os.path.realpath(place / named) == os.path.realpath(folder) for place in (base, path.parent))


def _config(path: Path) -> Mapping[str, Any] | None:
    try:
        info = path.stat()
    except OSError:  # a dangling link, or removed meanwhile
        return None
    readable = path.suffix in (".json", ".toml") and stat.S_ISREG(info.st_mode)
    return _read_config(path, info.st_mtime_ns, info.st_size) if readable else None


@lru_cache(maxsize=256)
def _read_config(path: Path, _mtime_ns: int, _size: int) -> Mapping[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(text) if path.suffix == ".toml" else load_json(text)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    return {str(key).removeprefix("--"): value for key, value in data.items()}


def _library(path: Path, settings: Mapping[str, Any]) -> Prompts:
    texts: dict[str, str] = {}
    fault = ""
    if _is_set(settings.get("validation_prompt_library")):
        fault = f"{path}: the prompts of `validation_prompt_library` are inside SimpleTuner; give `prompts:`"
    if not _is_true(settings.get("validation_disable_unconditional")):
        texts["unconditional"] = ""
    if named := settings.get("user_prompt_library"):
        found = read_prompts(_existing(path, str(named)))
        texts |= found.texts
        fault = found.fault or fault
    if prompt := settings.get("validation_prompt"):
        texts["validation"] = str(prompt)
    return Prompts(texts, path, fault)


def _existing(config: Path, named: str) -> Path:
    """Resolve a path of the configuration as the trainer does, relative to its working folder: the one with
    `config/` in it. Where there is none, the folders around the configuration are tried.
    """
    near = list(config.parents)[:3]
    working = [place.parent for place in near if place.name == "config"]
    named = os.path.expanduser(named)  # noqa: PTH111 - an unknown user is no error here
    places = [place / named for place in working + near]
    return next((place for place in places if os.path.isfile(place)), places[0])  # noqa: PTH113 - never raises


def _is_set(value: object) -> bool:
    return str(value).strip().lower() not in ("", "none", "null", "false", "0", "no", "[]", "{}")


def _count(value: object) -> int:
    """Read a number of images; 0 when it is none."""
    text = str(value).strip()
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def _is_true(value: object) -> bool:
    return value is True or str(value).strip().lower() in ("true", "1", "yes")


def _resolutions(settings: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Read `1024x1024,1280x768` or `512` as (width, height) pairs."""
    found = []
    for part in str(settings.get("validation_resolution") or "256").split(","):
        numbers = [int(number) for number in _NUMBERS.findall(part)]
        if numbers:
            found.append((numbers[0], numbers[-1]))
    return found or [(256, 256)]


def _named(sizes: set[tuple[int, int] | None]) -> str:
    return " or ".join(f"{width}x{height}" for width, height in sorted(size for size in sizes if size))
