"""What is known of one training of musubi-tuner: what its process says, else what the GUI keeps of its project.

Sources: musubi-tuner, `gui/gui.py`: `save_project_settings`, `start_training` (the project's files);
`training/trainer_base.py` (options, and what weights note), `kandinsky5_train_network.py`.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from watcher.discover.kohya.checkpoints import newest_weights, noted_name, noted_start
from watcher.discover.kohya.epochs import STAMP, event_files
from watcher.discover.kohya.running import running, running_into
from watcher.discover.kohya.settings import logging_folder
from watcher.discover.kohya.training import Training
from watcher.discover.layout import Place
from watcher.discover.running import Running
from watcher.discover.safetensors import metadata
from watcher.launch import file_settings, launch_settings

PROJECT = "musubi_project.toml"
"""In the GUI's project folder; the GUI's trainings write into `OUTPUT` beside it and log into `LOGS`."""
OUTPUT = "models"
LOGS = "logs"
GUI_PROMPTS = "sample_prompt.txt"
"""Beside `PROJECT`; the GUI writes it anew at every start that samples."""


def training(place: Place) -> Training:
    """Put together what is known of a training; the process, where it runs, knows best."""
    name = output_name(place)
    process = running(place.folder, name)
    written = gui_settings(place.folder)
    if written.get("output_name") != name:  # an earlier training of the project: only where it logged is the same
        written = {key: value for key, value in written.items() if key in ("logging_dir", "log_with")}
    file = process.path("config_file") if process else None
    return Training(
        place,
        {**written, **(process.settings if process else {})},
        file or (_project(place.folder) if "output_name" in written else None),
        process,
    )


def started(known: Training) -> float:
    """Give when a training was last started (wall time), which is before it reads its prompts; 0 when unknown.

    A process tells its own start. Weights note it, and the logging folder has it in its name (local time): it is
    made before the prompts are read.
    """
    if known.process is not None:
        return known.process.started_at
    return max(noted_start(saved_as(known.place)), _logged_start(known))


def output_name(place: Place) -> str:
    """Give the `output_name` of a training; Kandinsky 5's samples do not bear it, so that their stream has no name."""
    if place.stream:
        return place.stream
    if named := {one.settings.get("output_name", "") for one in processes(place.folder) if _is_kandinsky(one)}:
        return named.pop() if len(named) == 1 else ""
    weights = own_weights(place.folder)
    return noted_name(place.folder / weights) if weights and not _stream_of_weights(place.folder / weights) else ""


def saved_as(place: Place) -> Place:
    """Give a training's place with the name that its checkpoints begin with: `None` where `output_name` is not set."""
    return replace(place, stream=output_name(place) or "None")


def processes(folder: Path) -> list[Running]:
    """Give the processes of musubi-tuner's that write into a folder: sd-scripts has no `--dit`."""
    return [one for one in running_into(folder) if {"dit", "dataset_config"} <= one.settings.keys()]


def is_project(folder: Path) -> bool:
    """Tell whether a folder is the output folder of a project of the GUI's."""
    return folder.name == OUTPUT and _project(folder).is_file()


def own_weights(folder: Path) -> str:
    """Give the name of the newest weights that musubi-tuner wrote; sd-scripts counts images, it counts items."""
    return newest_weights(folder, lambda noted: "ss_num_train_items" in noted and not noted.keys() & _SD_SCRIPTS)


_SD_SCRIPTS = {"ss_sd_scripts_commit_hash", "ss_num_train_images"}


def begun_streams(folder: Path) -> set[str]:
    """Name the trainings that are going to have samples, by a process or by the GUI."""
    found = {_stream(one) for one in processes(folder) if one.settings.get("sample_prompts")}
    written = gui_settings(folder)
    return found | ({written.get("output_name", "")} if "sample_prompts" in written else set())


def known_stream(folder: Path) -> str:
    """Name the training that a folder without samples is of, as far as anything tells."""
    if names := {_stream(one) for one in processes(folder)}:
        return min(names)
    weights = own_weights(folder)
    return _stream_of_weights(folder / weights) if weights else gui_settings(folder).get("output_name", "")


def gui_settings(folder: Path) -> Mapping[str, str]:
    """Give what the GUI's project says, by the names of the options that the GUI would start a training with."""
    written = file_settings(_project(folder)) if folder.name == OUTPUT else {}
    if not written:
        return {}
    project = folder.parent
    samples = {"sample_prompts": str(project / GUI_PROMPTS), "sample_at_first": "true"}
    taken = {"output_name", "save_every_n_epochs"} | ({"sample_every_n_epochs"} if _samples(written) else set())
    return {
        **{name: value for name, value in written.items() if name in taken},
        **(samples if _samples(written) else {}),
        "output_dir": str(folder),
        "logging_dir": str(project / LOGS),
        "log_with": "tensorboard",
        **launch_settings(("train.py", *_split(written.get("additional_args", ""))), project),
    }


def _samples(written: Mapping[str, str]) -> bool:
    return written.get("sample_images", "") == "true"


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is never closed
        return []


def _project(folder: Path) -> Path:
    return folder.parent / PROJECT


def _stream(process: Running) -> str:
    return "" if _is_kandinsky(process) else process.settings.get("output_name", "")


def _is_kandinsky(process: Running) -> bool:
    return "text_encoder_qwen" in process.settings


def _stream_of_weights(weights: Path) -> str:
    noted = metadata(weights) or {}
    return "" if noted.get("ss_base_model_version", "").startswith("kandinsky") else noted_name(weights)


def logged(known: Training) -> Path | None:
    """Give the TensorBoard folder of a training's last start; a project's logs are those of its trainings alone."""
    found = logging_folder(known)
    if found is not None or known.process is not None or "output_name" not in known.settings:
        return found
    files = event_files(known)
    return files[-1].path.parent if files else None


def _logged_start(known: Training) -> float:
    folder = logged(known)
    stamps = [] if folder is None else [one.name[-STAMP:] for one in (folder, folder.parent)]
    for stamp in stamps:
        if len(stamp) == STAMP and stamp.isdecimal():
            try:
                return time.mktime(time.strptime(stamp, "%Y%m%d%H%M%S"))
            except (ValueError, OverflowError):
                continue
    return 0.0
