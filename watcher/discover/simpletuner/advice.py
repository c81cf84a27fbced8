"""What a SimpleTuner user should change so that decisions can be trusted; a sentence each, with the setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from watcher.discover.layout import Place, Prompts
from watcher.discover.simpletuner.config import Config
from watcher.nouns import PROMPTS_TO_STOP

UNCONDITIONAL = "unconditional"


def advise(place: Place, configs: Sequence[Config], prompts: Prompts) -> Iterator[str]:
    """Give all advice for a run, the most important first; `configs` are those found, the one that is taken first."""
    if not configs:
        if place.prompts is None:
            yield no_config(place.folder)
        return
    config, *others = configs
    yield from _on_prompts(place, config, prompts)
    yield from _on_pictures(config)
    yield from _on_stopping(config)
    yield from _on_trainer(config)
    if others:
        yield (
            f"{others[0].path} also has this folder as its output_dir: prompts and sizes are taken from {config.path};"
            " give each training an `output_dir` of its own, or the run `prompts:`"
        )


def no_config(folder: Path) -> str:
    """Say that the configuration is missing, and the way out."""
    return f"no SimpleTuner config of {folder} was found beside it; give `prompts:` for this run"


def _on_prompts(place: Place, config: Config, prompts: Prompts) -> Iterator[str]:
    if place.prompts is None and prompts.fault:
        yield prompts.fault
        return
    count = sum(1 for text in prompts.texts.values() if text)
    if count < PROMPTS_TO_STOP:
        library = place.prompts or config.file(config.text("user_prompt_library", "config/user_prompt_library.json"))
        is_new = place.prompts is None and not config.is_set("user_prompt_library")
        named = config.setting("user_prompt_library", str(library)) if is_new else ""
        what = f"only {count} prompts" if count > 1 else "a single prompt" if count else "no prompt"
        yield (
            f"{what}: rules that stop a run need {PROMPTS_TO_STOP} and stay unknown until then; write a JSON object of"
            f' name to prompt, such as {{"cat": "a cat on a mat", "night": "a city at night"}}, to {library}'
            + (f", and set {named} in {config.path}" if named else "")
        )


def _on_pictures(config: Config) -> Iterator[str]:
    if config.inputs():
        yield (
            "validation starts from input images, whose panels cannot be told apart by size, so its pictures are not"
            f" scored; to have them scored, leave {' and '.join(config.inputs())} out of {config.path}"
        )
    elif stitched := list(_stitched(config)):
        names, settings = zip(*stitched, strict=True)
        yield (
            f"pictures of {' and '.join(names)} are put beside each picture, whose own panel is cut out for scoring,"
            f" without the corner that may bear the words `step N`; for clean pictures set {' and '.join(settings)} in"
            f" {config.path}"
        )


def _stitched(config: Config) -> Iterator[tuple[str, str]]:
    if not config.flag("disable_benchmark"):
        yield "the base model", f"{config.setting('disable_benchmark', True)} (benchmarks/base_model stays)"
    if config.compares_ema():
        yield "the EMA weights", config.setting("ema_validation", "none")


def _on_stopping(config: Config) -> Iterator[str]:
    validates, saves = config.number("validation_step_interval", 100), config.number("checkpoint_step_interval", 500)
    by_epoch = config.is_set("checkpoint_epoch_interval") or config.is_set("validation_epoch_interval")
    if 0 < validates < saves and not by_epoch:
        yield (
            f"checkpoints are written every {saves} steps but judged every {validates}: a stop can lose up to {saves}"
            f" steps; set {config.setting('checkpoint_step_interval', validates)} in {config.path}"
        )


def _on_trainer(config: Config) -> Iterator[str]:
    if config.text("evaluation_type").lower() == "clip":
        yield (
            "SimpleTuner scores with CLIP too, on the CPU while the GPU waits and from 0 to 100, and fails where"
            f" transformers is 5; the watcher does without: set {config.setting('evaluation_type', 'none')} in"
            f" {config.path}"
        )
    if config.flag("validation_disable_unconditional") is False:
        yield (
            "each evaluation makes a picture of the empty prompt, which cannot be scored: set"
            f" {config.setting('validation_disable_unconditional', True)} in {config.path} to save its time"
        )
