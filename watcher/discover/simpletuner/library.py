"""The prompts that a SimpleTuner configuration brings in.

Source: SimpleTuner 4.10, `helpers/prompts.py`: `prepare_validation_prompt_list` (the order), the dictionary `prompts`
(what `validation_prompt_library` stands for), and its prompt library service.
"""

from __future__ import annotations

import ast
import importlib.util
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from watcher.discover.layout import Prompts
from watcher.discover.prompts import read_prompts
from watcher.discover.simpletuner.advice import UNCONDITIONAL
from watcher.discover.simpletuner.config import INPUTS, Config
from watcher.discover.simpletuner.places import LOOK_AGAIN, programs, working_folders
from watcher.launch import LARGEST
from watcher.smallfile import kept

BUILT_IN = ("true", "1", "yes", "on", "default", "image")
"""Values of `validation_prompt_library` that stand for the prompts of `helpers/prompts.py`; others are about sound."""
_HERE = ("simpletuner/helpers/prompts.py", "helpers/prompts.py")
_INSTALLED = "lib/python3*/site-packages/simpletuner/helpers/prompts.py"


def library(config: Config) -> Prompts:
    """Read the prompts in SimpleTuner's order; of two with the same name, the later wins, as among its files."""
    texts = {} if config.flag("validation_disable_unconditional") else {UNCONDITIONAL: ""}
    built_in = _built_in(config)
    faults = list(_unknown_prompts(config, known=bool(built_in)))
    texts |= built_in
    if named := config.text("user_prompt_library"):
        found = read_prompts(config.file(named))
        texts |= found.texts
        faults += [found.fault] * bool(found.fault)
    if prompt := config.text("validation_prompt"):
        texts["validation"] = prompt
    return Prompts(texts, config.path, faults[-1] if faults else "")


def _unknown_prompts(config: Config, *, known: bool) -> Iterator[str]:
    """Name the settings that bring in prompts which stand in no file of the user's, or in one that is not known."""
    if config.is_set("validation_prompt_library") and not known:
        yield (
            f"{config.path}: the prompts of `validation_prompt_library` are inside SimpleTuner, and were not found"
            " there; give `prompts:`"
        )
    for name in INPUTS:
        if config.is_set(name):
            yield f"{config.path}: the prompts of `{name}` are in its data sets; give `prompts:`"
    for name in ("user_prompt_library", "validation_prompt", "validation_disable_unconditional"):
        if config.unknown(name):
            yield f"{config.path}: `{name}` comes from the trainer's environment; give `prompts:`"


def _built_in(config: Config) -> Mapping[str, str]:
    """Give SimpleTuner's own prompts, where they are asked for and it is found."""
    if config.text("validation_prompt_library").lower() not in BUILT_IN:
        return {}
    path = _source(config.path, int(time.monotonic() // LOOK_AGAIN))
    try:
        return _prompts_of(path) if path else {}
    except OSError:  # removed meanwhile
        return {}


_found: dict[Path, Path] = {}
"""Where SimpleTuner was found for a configuration: it is no less so when the training has ended."""


@lru_cache(maxsize=256)
def _source(config: Path, _time: int) -> Path | None:
    """Find the source of SimpleTuner's prompts: around its configuration, by its processes, or in this environment."""
    known = _found.get(config)
    if known is None or not known.is_file():
        known = next((path for path in _sources(config) if path.is_file()), None)
    if known is not None:
        _found[config] = known
    return known


def _sources(config: Path) -> Iterator[Path]:
    for base in (*list(config.parents)[:4], *working_folders()):
        yield from (base / name for name in _HERE)
        for environment in (".venv", "venv"):
            yield from sorted((base / environment).glob(_INSTALLED))
    for program in programs():
        yield from sorted(program.parent.parent.glob(_INSTALLED))
    spec = importlib.util.find_spec("simpletuner")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "helpers/prompts.py"


@kept(16, LARGEST)
def _prompts_of(path: Path) -> Mapping[str, str]:
    """Read the dictionary from the source; nothing of it is executed. Empty where there is none."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and "prompts" in _named(node):
            return _texts(node.value)
    return {}


def _named(node: ast.Assign | ast.AnnAssign) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return {one.id for one in targets if isinstance(one, ast.Name)}


def _texts(value: ast.expr | None) -> dict[str, str]:
    try:
        found = ast.literal_eval(value) if value else None
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {key: text for key, text in pairs if isinstance(key, str) and isinstance(text, str)}
