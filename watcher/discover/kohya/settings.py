"""What a training's settings say for its trackers, and to its user: what would make it safer to judge and to stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from watcher.discover.kohya.epochs import EventFile, event_files
from watcher.discover.kohya.folder import configs
from watcher.discover.kohya.training import Training, find_prompts
from watcher.discover.prompts import too_few
from watcher.names import GRAD_NORM, LEARNING_RATE, LOSS
from watcher.nouns import PROMPTS_TO_STOP, Setup

NUMBERS = {
    **dict.fromkeys(("loss/current", "loss"), LOSS),
    **dict.fromkeys(("lr/unet", "lr/network", "lr/transformer", "lr/group0"), LEARNING_RATE),
    "norm/avg_grad_norm": GRAD_NORM,
}
"""Metrics by the tags that sd-scripts and musubi-tuner log them as."""
USUAL = {"lora": "network_train", "textual_inversion": "textual_inversion"}
"""Projects by the kind of training in the names of the GUI's configurations; `init_trackers` in sd-scripts' scripts."""


def setup_of(known: Training, advice: Iterable[str] | None = None) -> Setup:
    """Give what the settings say; nothing of what is not known. `advice` stands in place of that on sd-scripts."""
    folder = logging_folder(known)
    return Setup(
        config=known.config,
        logging_folder=folder,
        trackers=trackers(known),
        project=known.text("log_tracker_name") or _usual_project(known, folder),
        run_name=known.text("wandb_run_name") or known.place.stream,
        advice=tuple(_advice(known) if advice is None else advice),
    )


def logging_folder(known: Training) -> Path | None:
    """Give the TensorBoard folder of a training's last start; None where it could be another's.

    A running training's event files bear its process's number. Without a process, what began since the GUI's last
    configuration and before its next one is meant, where that is a single folder.
    """
    files = event_files(known)
    if known.process is not None and (own := [file for file in files if file.pid in known.process.pids]):
        return own[-1].path.parent
    folders = list(dict.fromkeys(file.path.parent for file in files if _is_of_last_start(known, file)))
    return folders[0] if len(folders) == 1 else None


def _is_of_last_start(known: Training, file: EventFile) -> bool:
    """Tell by the local times in names: the configuration's, the logging folder's, and the next configuration's."""
    everything = configs(known.place.folder)
    mine = max((one.stamp for one in everything if one.stream == known.place.stream), default="")
    following = min((one.stamp for one in everything if one.stamp > mine), default="9" * 14)
    stamp = next((part.name[-14:] for part in (file.path.parent, file.path.parent.parent) if _is_start(part)), "")
    return bool(stamp) and mine <= stamp < following


def _is_start(folder: Path) -> bool:
    return folder.name[-14:].isdecimal() and len(folder.name) >= 14


def _usual_project(known: Training, logging_folder: Path | None) -> str:
    """Give the project that sd-scripts reports to unless it is told one; empty where that is not known.

    A script names its trackers after itself, and accelerate their folder below the start's after that name. All scripts
    that train LoRA networks say `network_train`, textual inversion says so itself; others share a tab of the GUI.
    """
    if logging_folder is not None and _is_start(logging_folder.parent):
        return logging_folder.name
    kinds = {kind for kind in USUAL if known.config and known.config.name.startswith(f"config_{kind}-")}
    return USUAL[kinds.pop()] if kinds else ""


def trackers(known: Training) -> tuple[str, ...]:
    """Name the trackers: TensorBoard wherever there is a logging folder, unless `--log_with` says otherwise."""
    named = known.text("log_with") or ("tensorboard" if known.text("logging_dir") else "")
    return ("tensorboard", "wandb") if named == "all" else tuple(named.split())


def _advice(known: Training) -> Iterator[str]:
    """Say what to change, and how, so that decisions can be trusted and a stop loses little."""
    found = find_prompts(known)
    where = found.source or "its prompt file"
    yield from on_prompts(len(found.texts), f"add lines to {where}, which sd-scripts reads anew at every sampling")
    if known.settings:
        yield from _on_sampling(known)
        yield from on_saving(known, "sd-scripts")


def on_prompts(count: int, way_out: str) -> Iterator[str]:
    """Say that there are too few prompts, and how the trainer gets more."""
    if 0 < count < PROMPTS_TO_STOP:
        yield too_few(count, way_out)


def _on_sampling(known: Training) -> Iterator[str]:
    epochs, steps = known.text("sample_every_n_epochs"), known.text("sample_every_n_steps")
    if not epochs and not steps:
        yield "it generates no samples: set `sample_every_n_steps` (kohya_ss: Samples) and some sample prompts"
    if epochs and steps:
        yield (
            f"`sample_every_n_epochs = {epochs}` makes sd-scripts ignore `sample_every_n_steps = {steps}`: set only one"
        )
    yield from on_epochs(known, "`logging_dir` (kohya_ss: Logging directory)")


def on_epochs(known: Training, logging: str) -> Iterator[str]:
    """Say that nothing will tell the steps of epochs, and which setting would."""
    if known.text("sample_every_n_epochs") and "tensorboard" not in trackers(known):
        yield (
            "its samples are named by epoch and it logs nothing to tell their steps by, so rules count epochs: set "
            f"{logging}, or `sample_every_n_steps` in place of epochs"
        )


def on_saving(known: Training, trainer: str) -> Iterator[str]:
    """Say what a stop would lose; these trainers save nothing when they are stopped."""
    saves = known.text("save_every_n_steps") or known.text("save_every_n_epochs") or known.text("save_n_epoch_ratio")
    if not saves:
        yield "it saves nothing before its end, and a stop saves nothing either: set `save_every_n_steps`"
    elif not known.text("save_state"):
        yield (
            "it saves weights only: after a stop training cannot go on where it was, and what was learned since the "
            f"last save is lost, as {trainer} saves nothing when it is stopped; set `save_state`"
        )
    else:
        yield (
            f"{trainer} saves nothing when it is stopped: what was learned since the last save is lost; "
            "`save_every_n_steps` says how much that is"
        )
