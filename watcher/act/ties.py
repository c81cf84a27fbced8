"""What ties a process to a run's folder: that it writes there. Who only reads there is never the training."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from watcher.act import processes
from watcher.act.processes import Process

NOT_TRAINERS = (
    *("aws", "gcloud", "gsutil", "hf", "huggingface-cli"),
    *("ipykernel_launcher", "ipython", "jupyter", "jupyter-lab", "jupyter-notebook"),
    *("aim", "gradio", "http", "mlflow", "streamlit", "tensorboard", "visdom", "wandb", "watcher"),
)
"""Python programs that look into output folders, copy them, or hold more of a user's work than a training."""
_SET = re.compile(r"[-+]{0,2}(?P<name>[\w.-]+)=(?P<value>.*)", re.DOTALL)
_OUTPUT = re.compile(r"out|save|default.root|(work|run)[_.-]?dir|workspace", re.I)
_INPUT = re.compile(r"from|in(it|put)|load|resume|pretrain|data|eval", re.I)
_TAKES_VALUE = "mcWX"
"""Python's own options that are followed by a value."""


def could_train(process: Process) -> bool:
    """Tell whether a process is a Python program, and none that merely looks at results."""
    return process.alive and _is_python(process) and _script(process.argv) not in NOT_TRAINERS


def tie_to(run_folder: Path, process: Process) -> str:
    """Say what ties a process to a run's folder: it is told to write there, or has a file open for writing there."""
    if not could_train(process):
        return ""
    for name, value in _arguments(process.argv):
        if is_output(name) and leads_to(value, run_folder, process.pid):
            return f"its arguments name {run_folder}"
    inside = [path for path in processes.written_files(process.pid) if path.is_relative_to(run_folder)]
    return f"it writes {inside[0]}" if inside else ""


def names(run_folder: Path, process: Process) -> bool:
    """Tell whether a Python program has the folder among its arguments at all, perhaps only to read it."""
    arguments = _arguments(process.argv) if could_train(process) else ()
    return any(leads_to(value, run_folder, process.pid) for _, value in arguments)


def writes_elsewhere(run_folder: Path, tree: Sequence[Process]) -> str:
    """Give the output folder that a tree's arguments name if it has nothing to do with the run; else nothing."""
    told = [folder for process in tree if process.alive for folder in _told_outputs(process)]
    for folder in told:
        if folder.is_relative_to(run_folder) or run_folder.is_relative_to(folder):
            return ""
    return str(told[0]) if told else ""


def is_output(option: str) -> bool:
    """Tell by its name whether an option says where to write: `output_dir`, `o`, `save_path`, `logging_dir`, ..."""
    plainly = option == "o" or option.rsplit(".", 1)[-1].lower().startswith("out")
    return plainly or bool(_OUTPUT.search(option) and not _INPUT.search(option))


def leads_to(text: str, folder: Path, pid: int) -> bool:
    """Tell whether an argument of a process is a folder: by any path, through links, in a container's own view."""
    try:
        path = Path(text).expanduser()
        return processes.seen_by(pid, path).samefile(folder)
    except PermissionError:  # another user's process
        return text == str(folder)
    except (OSError, RuntimeError, ValueError):  # an argument may be anything: too long, an unknown user's home, ...
        return False


def _told_outputs(process: Process) -> Iterator[Path]:
    """Give the folders, as far as they exist, that `--output_dir` and the like name."""
    for name, value in _arguments(process.argv):
        if "out" in name.lower() and is_output(name) and value.strip("."):
            try:
                place = Path(os.path.realpath(processes.seen_by(process.pid, Path(value).expanduser()), strict=True))
            except (OSError, RuntimeError, ValueError):
                continue
            if place.is_dir():
                yield place


def _arguments(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give every argument with the name of the option that it follows: `--name value`, `--name=value`, `name=value`."""
    name = ""
    for argument in argv[1:]:
        if match := _SET.fullmatch(argument):
            yield match["name"], match["value"]
            name = ""
        elif argument.startswith("-"):
            name = argument.lstrip("-")
        else:
            yield name, argument
            name = ""


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
