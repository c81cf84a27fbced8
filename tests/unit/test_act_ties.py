"""What an option's name says about a path behind it, and which program Python runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from watcher.act import processes, ties
from watcher.act.processes import Process

OUTPUTS = """
    o out output output_dir output-dir outdir out_dir OUTPUT_DIR output_data_dir save_path save_dir work_dir
    trainer.default_root_dir hydra.run.dir train.output_dir workspace
"""
INPUTS = """
    ckpt_dir pretrained_model_name_or_path resume_from_output load_output_dir input_dir instance_data_dir data_root
    config dataset_config init_from eval_results d logits_from output_name output-name
    results results_dir logdir log-dir logging_dir project_dir exp_dir experiment_dir
"""


@pytest.mark.parametrize("name", OUTPUTS.split())
def test_an_option_that_says_where_to_write_is_an_output(name: str) -> None:
    assert ties.is_output(name)


@pytest.mark.parametrize("name", ["", *INPUTS.split()])
def test_an_option_that_says_what_to_read_is_none(name: str) -> None:
    assert not ties.is_output(name)


def process(*argv: str) -> Process:
    """Give this very process, as if it had been started by another command line."""
    me = processes.read(os.getpid())
    assert me is not None
    return Process(me.pid, me.parent, me.group, me.session, me.start, me.uid, me.state, argv, me.threads)


@pytest.mark.parametrize(
    "argv",
    [
        ("-m", "tensorboard.main", "--logdir", "x"),
        ("-X", "dev", "-m", "http.server"),
        ("-W", "ignore", "/venv/bin/tensorboard"),
        ("-um", "tensorboard.main"),
        ("-Xdev", "-m", "watcher", "run"),
        ("-P", "-m", "watcher.score.worker"),
        ("/venv/bin/huggingface-cli", "upload", "x"),
        ("-m", "ipykernel_launcher", "-f", "x.json"),
    ],
)
def test_programs_that_look_at_results_are_known_however_python_was_told(argv: tuple[str, ...]) -> None:
    assert not ties.could_train(process("python", *argv))


@pytest.mark.parametrize(
    "argv",
    [
        ("train.py", "-m", "tensorboard"),
        ("-m", "accelerate.commands.launch", "train.py"),
        ("-c", "import train", "tensorboard"),
        ("/home/me/tensorboard/train.py",),
        ("-u", "train.py"),
        (),
    ],
)
def test_other_python_programs_may_be_trainings(argv: tuple[str, ...]) -> None:
    assert ties.could_train(process("python", *argv))


def test_a_rewritten_command_line_does_not_hide_python() -> None:
    """As setproctitle does; the program file is still Python's."""
    assert ties.could_train(process("train: step 100 of 2000"))


@pytest.mark.parametrize("text", ["", "x" * 5000, "a\0b", "~nobody-has-this-name/x", "no/such/place", "\n"])
def test_an_argument_may_be_anything(text: str, tmp_path: Path) -> None:
    assert not ties.leads_to(text, tmp_path, os.getpid())


def test_every_argument_is_told_with_its_option(tmp_path: Path) -> None:
    def tie(*argv: str) -> bool:
        return bool(ties.tie_to(ties.Output(tmp_path), process("python", "train.py", *argv)).kind)

    run = str(tmp_path)
    assert tie("--steps", "3", "--output_dir", run)
    assert tie(f"--output_dir={run}/")
    assert tie(f"output_dir={run}")
    assert tie(f"+output_dir={run}")
    assert not tie(run)
    assert not tie("--output_dir", "elsewhere", run)
    assert not tie("--output_dir", "--resume", run)
    assert not tie("--output_dir", str(tmp_path.parent))
    assert not tie("--output_dir", f"{run}/below")


def test_this_interpreter_is_known_as_python() -> None:
    assert "python" in Path(sys.executable).name
    assert "python" in processes.program(os.getpid())


def test_a_reading_that_fails_does_not_mean_that_the_process_is_gone() -> None:
    """A daemon without descriptors must not take everything for ended."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        with pytest.raises(OSError, match="Too many open files"):
            processes.read(os.getpid())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
