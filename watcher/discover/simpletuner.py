"""SimpleTuner's output folder.

Sources: SimpleTuner 4.8, `helpers/training/validation_images.py` (file names), `helpers/training/validation.py`
(what the pictures show), `helpers/training/trainer.py` (checkpoints), and its prompt library service.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, ClassVar

from watcher.discover.layout import Checkpoint, Facts, Layout, Prompts
from watcher.discover.prompts import load_json, read_prompts

IMAGES = "validation_images"
BASE = PurePath("benchmarks/base_model")
_SIZE = r"(?P<size>\d+x\d+|unknown|\(\d+, \d+\))"
_SAMPLE = re.compile(rf"step_(?P<step>\d+)_(?P<short>.+?)(?:_(?P<index>\d+))?_{_SIZE}\.(?:png|webp|jpe?g)")
_BASE = re.compile(rf"(?P<short>.+)_{_SIZE}\.png")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_ADAPTER = re.compile(r"(?P<short>.+)__(?P<slug>[a-z0-9_]+)")
_NUMBERS = re.compile(r"\d+")


class SimpleTuner(Layout):
    """SimpleTuner: `validation_images/step_{step}_{shortname}_{index}_{W}x{H}.png` and its older names.

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
        if library.fault or not library.texts or settings.get("validation_prompt_library"):
            return None
        images = int(settings.get("num_validation_images", 1))
        return len(library.texts) * len(_resolutions(settings)) * images

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
        """Give `checkpoint-{step}` folders with a training state, and, where SimpleTuner writes it, a guard."""
        found = [_checkpoint(path) for path in folder.glob("checkpoint-*")]
        return sorted((one for one in found if one), key=lambda one: one.written_at)

    def logging_folder(self, folder: Path) -> Path | None:
        """Give `{logging_dir}/{tracker_project_name}`, as accelerate's tracker joins them."""
        found = find_config(folder)
        settings = found[1] if found else {}
        base = folder / str(settings.get("logging_dir", "logs"))
        place = base / str(settings.get("tracker_project_name", "simpletuner"))
        return next((path for path in (place, base) if path.is_dir()), None)


def _sample(name: str) -> Facts | None:
    match = _SAMPLE.fullmatch(name)
    if match is None:
        return None
    short, variant = match["short"], ""
    if adapter := _ADAPTER.fullmatch(short):
        short, variant = adapter["short"], adapter["slug"]
    size = _size(match["size"])
    return Facts(int(match["step"]), short, int(match["index"] or 0), variant, size=size)


def _size(label: str) -> tuple[int, int] | None:
    numbers = [int(number) for number in _NUMBERS.findall(label)]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def _checkpoint(path: Path) -> Checkpoint | None:
    match = _CHECKPOINT.fullmatch(path.name)
    if match is None or not (path / "training_state.json").is_file():
        return None
    files = [path / "training_state.json", path / ".guard"]
    written = max(file.stat().st_mtime for file in files if file.exists())
    return Checkpoint(int(match[1]), path, written)


def find_config(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    """Find the configuration whose `output_dir` is this folder, in the places where SimpleTuner is started.

    SimpleTuner reads `config/config.{json,toml}` or `config/<name>/config.{json,toml}` of its working folder.
    """
    for base in (folder, *list(folder.parents)[:3]):
        for pattern in ("config/config.*", "config/*/config.*", "config.*"):
            for path in sorted(base.glob(pattern)):
                settings = _read_config(path, path.stat().st_mtime_ns)
                if settings is not None and _is_output(settings, path, base, folder):
                    return path, settings
    return None


def _is_output(settings: Mapping[str, Any], path: Path, base: Path, folder: Path) -> bool:
    named = settings.get("output_dir")
    if not named:
        return path.parent == folder
    return any((place / str(named)).resolve() == folder for place in (base, path.parent))


@lru_cache(maxsize=256)
def _read_config(path: Path, _mtime_ns: int) -> Mapping[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else load_json(text)
    except (OSError, ValueError):
        return None
    if path.suffix not in (".json", ".toml") or not isinstance(data, dict):
        return None
    return {str(key).removeprefix("--"): value for key, value in data.items()}


def _library(path: Path, settings: Mapping[str, Any]) -> Prompts:
    texts: dict[str, str] = {}
    fault = ""
    if not _is_true(settings.get("validation_disable_unconditional")):
        texts["unconditional"] = ""
    if named := settings.get("user_prompt_library"):
        found = read_prompts(_existing(path, str(named)))
        texts |= found.texts
        fault = found.fault
    if prompt := settings.get("validation_prompt"):
        texts["validation"] = str(prompt)
    return Prompts(texts, path, fault)


def _existing(config: Path, named: str) -> Path:
    """Resolve a path of the configuration as the trainer does, relative to its working folder."""
    places = [Path(named).expanduser()] + [parent / named for parent in list(config.parents)[:3]]
    return next((place for place in places if place.is_absolute() and place.is_file()), places[1])


def _is_true(value: object) -> bool:
    return value is True or str(value).strip().lower() in ("true", "1", "yes")


def _resolutions(settings: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Read `1024x1024,1280x768` or `512` as (width, height) pairs."""
    found = []
    for part in str(settings.get("validation_resolution", "256")).split(","):
        numbers = [int(number) for number in _NUMBERS.findall(part)]
        if numbers:
            found.append((numbers[0], numbers[-1]))
    return found or [(256, 256)]


def _named(sizes: set[tuple[int, int] | None]) -> str:
    return " or ".join(f"{width}x{height}" for width, height in sorted(size for size in sizes if size))
