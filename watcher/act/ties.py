"""What ties a process to a run's output: that it writes there. Who only reads there is never the training."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from watcher.act import processes
from watcher.act.processes import Process
from watcher.act.told import Told, arguments, told
from watcher.launch import is_output

GUIS = (
    *("kohya_gui", "lora_gui", "dreambooth_gui", "finetune_gui", "textual_inversion_gui", "musubi_tuner_gui"),
    *("train_ui", "train_ui_ctk", "train_ui_pyside6", "train_ui_qt", "train_webui"),
    *("fluxgym", "gui", "webui", "gradio", "streamlit", "gunicorn", "hypercorn", "uvicorn"),
)
"""Python programs that start trainings for their user and go on when one of them ends.

OneTrainer's `train_ui` and its like even train in their own process: to end the training from outside ends the GUI.
"""
NOT_TRAINERS = (
    *("aws", "gcloud", "gsutil", "hf", "huggingface-cli"),
    *("ipykernel_launcher", "ipython", "jupyter", "jupyter-lab", "jupyter-notebook"),
    *("aim", "http", "mlflow", "tensorboard", "visdom", "wandb", "watcher"),
    *GUIS,
)
"""Python programs that look into output folders, copy them, or hold more of a user's work than a training."""
_TAKES_VALUE = "mcWX"
"""Python's own options that are followed by a value."""


class Stream(Protocol):
    """A run, as far as it says what it writes."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def path(self) -> Path:
        """Its folder."""

    @property
    def stream(self) -> str:
        """Its name among the trainings that share the folder."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a run writes: its folder, and under which name where trainings share one."""

    folder: Path
    stream: str = ""
    """The name that the training gives its output, `output_name` in its settings."""
    shared: bool = False
    """Whether other trainings write into the folder, so that one without a name is told by having none."""
    name: str = ""
    """What people call the run."""

    @staticmethod
    def of(run: Stream, present: Iterable[Stream]) -> Output:
        """Say what a run writes, and whether others of the runs that are there write into its folder."""
        shared = any(one.path == run.path and one.stream != run.stream for one in present)
        return Output(run.path, run.stream, shared, run.name)

    @property
    def is_named(self) -> bool:
        """Whether the folder alone does not tell the training."""
        return bool(self.stream) or self.shared

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.folder} ({self.stream})" if self.stream else str(self.folder)


@dataclass(frozen=True, slots=True)
class Tie:
    """How a process stands to an output.

    `told`: it was told to write there; `writes`: it only has a file open for writing there; `unclear`: either, where
    trainings share the folder and nothing says which of them it is; `other`: it is another training.
    """

    kind: Literal["", "told", "writes", "unclear", "other"]
    why: str = ""


def could_train(process: Process) -> bool:
    """Tell whether a process is a Python program, and none that merely looks at results."""
    return process.alive and _is_python(process) and _script(process.argv) not in NOT_TRAINERS


def is_gui(process: Process) -> bool:
    """Tell whether a process is a program that starts trainings and outlives them."""
    script = _script(process.argv)
    is_server = script == "simpletuner" and "server" in process.argv[2:3]
    return process.alive and _is_python(process) and (script in GUIS or is_server)


def tie_to(output: Output, process: Process) -> Tie:
    """Say what ties a process to a run's output, if anything does."""
    if not could_train(process) or is_gui(process):
        return Tie("")
    known = told(process)
    here = any(is_output(name) and leads_to(value, output.folder, process.pid) for name, value in known.settings)
    if output.is_named:
        return _named(output, process, known, here=here)
    if here:
        return Tie("told", f"its settings name {output.folder}")
    inside = _written(output, process)
    return Tie("writes", f"it writes {inside}") if inside else Tie("")


def _named(output: Output, process: Process, known: Told, *, here: bool) -> Tie:
    """Tell by its name whether a process is this training or another one of the same folder."""
    if here and known.name == output.stream and not (known.unread and not known.name):
        return Tie("told", f"its settings name {output}")
    if (here and not known.unread) or known.name not in ("", output.stream):
        return Tie("other", known.name)
    inside = _written(output, process)
    if not (here or inside):
        return Tie("")
    return Tie("unclear", known.unread or f"it writes {inside}, which does not say what it trains")


def _written(output: Output, process: Process) -> Path | None:
    found = processes.written_files(process.pid)
    return next((path for path in found if path.is_relative_to(output.folder)), None)


def names(output: Output, process: Process) -> bool:
    """Tell whether a Python program has the folder among its arguments at all, perhaps only to read it."""
    said = arguments(process.argv) if could_train(process) else ()
    return any(leads_to(value, output.folder, process.pid) for _, value in said)


def trains_otherwise(output: Output, tree: Sequence[Process]) -> str:
    """Say which other training a tree is, or holds as well, by what its processes were told; else nothing."""
    elsewhere = _elsewhere(output, [process for process in tree if process.alive])
    if elsewhere or not output.is_named:
        return f"writes to {elsewhere}, not to the run" if elsewhere else ""
    others = [tie.why for process in tree if (tie := tie_to(output, process)).kind == "other"]
    return f"trains {others[0] or 'an output without a name'} there, not {output.stream or 'that'}" if others else ""


def _elsewhere(output: Output, tree: Sequence[Process]) -> str:
    """Give the output folder that a tree was told if it has nothing to do with the run; else nothing."""
    outputs = [folder for process in tree for folder in told_outputs(process)]
    for folder in outputs:
        if folder.is_relative_to(output.folder) or output.folder.is_relative_to(folder):
            return ""
    return str(outputs[0]) if outputs else ""


def leads_to(text: str, folder: Path, pid: int) -> bool:
    """Tell whether an argument of a process is a folder: by any path, through links, in a container's own view."""
    try:
        path = Path(text).expanduser()
        return processes.seen_by(pid, path).samefile(folder)
    except PermissionError:  # another user's process
        return text == str(folder)
    except (OSError, RuntimeError, ValueError):  # an argument may be anything: too long, an unknown user's home, ...
        return False


def told_outputs(process: Process) -> Iterator[Path]:
    """Give the folders, as far as they exist, that `--output_dir` and the like name."""
    for name, value in told(process).settings:
        if "out" in name.lower() and is_output(name) and value.strip("."):
            try:
                place = Path(os.path.realpath(processes.seen_by(process.pid, Path(value).expanduser()), strict=True))
            except (OSError, RuntimeError, ValueError):
                continue
            if place.is_dir():
                yield place


def _is_python(process: Process) -> bool:
    """Tell by its program file: the command line may have been rewritten by the process (setproctitle)."""
    name = processes.program(process.pid) or (Path(process.argv[0]).name if process.argv else "")
    return "python" in name.lower() or "pypy" in name.lower()


def _script(argv: Sequence[str]) -> str:
    """Give the name of the module or script that Python runs, without what follows a dot."""
    rest = iter(argv[1:])
    for part in rest:
        short = part.startswith("-") and not part.startswith("--")
        if short and part[-1] in _TAKES_VALUE:
            value = next(rest, "")
            if part[-1] in "mc":
                return value.split(".")[0] if part[-1] == "m" else ""
        elif not part.startswith("-"):
            return Path(part).name.split(".")[0]
    return ""
