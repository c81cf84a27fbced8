"""Prompts count as a training has read them at its start; what gives videos is not waited for; advice says the rest."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kohya import Log, running
from tests.musubi import PROMPTS, put_own_weights, put_project, put_prompts, put_samples, put_video
from watcher.discover import Place, Prompts
from watcher.discover.musubi import Musubi
from watcher.discover.musubi.prompts import asked_by, start_prompts

LAYOUT = Musubi()
NOW = time.time() - 3600
ALL = {str(number): text for number, text in enumerate(PROMPTS)}
FLAGS = st.sampled_from(
    ["--w 64", "--f 1", "--f 4", "--fs 2.2", "--i a.png", "--ei b.png", "--ci c.png", "--cn d", "--of x"]
)
TRAINS = ("--dit=dit.safetensors", "--dataset_config=data.toml", "--output_dir=out", "--output_name=mine")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """The output folder of a project of the GUI's, which was started at `NOW` and whose prompts are eight."""
    return put_project(tmp_path / "cats", "mine", NOW, PROMPTS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def prompts(folder: Path, stream: str = "mine") -> Prompts:
    return LAYOUT.prompts(Place(folder, stream))


def logged(project: Path, at: float) -> None:
    log = Log(project / "logs", at)
    log.train(1, 2, at + 30)
    log.close()


def edit(file: Path, at: float, *texts: str) -> None:
    file.write_text("".join(f"{text} --d 42\n" for text in texts))
    os.utime(file, (at, at))


def forget() -> None:
    """Be a program that was started anew."""
    start_prompts.cache_clear()


def test_the_guis_prompts_are_found_and_an_earlier_trainings_are_not_guessed(models: Path) -> None:
    assert prompts(models) == Prompts(ALL, models.parent / "sample_prompt.txt")
    put_samples(models, "old", NOW - 9000, 0.3, step=100)
    assert "old: no prompt file was found; give `prompts:`" in prompts(models, "old").fault


def test_a_prompt_file_that_the_additional_arguments_name_wins(tmp_path: Path) -> None:
    added = f"--sample_prompts '{tmp_path}/my prompts.txt' --sample_every_n_steps 50"
    models = put_project(tmp_path / "cats", "mine", NOW, additional_args=added)
    put_prompts(tmp_path / "my prompts.txt", NOW)
    assert prompts(models).texts == ALL
    unclosed = put_project(tmp_path / "dogs", "mine", NOW, ["a dog"], additional_args="--comment it's")
    assert prompts(unclosed).texts == {"0": "a dog"}


def test_a_file_edited_while_the_training_runs_changes_nothing_until_the_next_start(models: Path) -> None:
    file = models.parent / "sample_prompt.txt"
    logged(models.parent, NOW + 10)
    assert prompts(models).texts == ALL
    edit(file, NOW + 600, "another thing")
    assert prompts(models).texts == ALL
    edit(file, NOW + 700, "a third thing --f 25")
    assert prompts(models).texts == ALL
    assert LAYOUT.expected(Place(models, "mine")) == 8
    logged(models.parent, NOW + 800)
    assert prompts(models).texts == {"0": "a third thing"}
    assert LAYOUT.expected(Place(models, "mine")) is None


def test_what_was_edited_before_it_was_ever_seen_is_not_guessed(models: Path) -> None:
    file = models.parent / "sample_prompt.txt"
    logged(models.parent, NOW + 10)
    edit(file, NOW + 600, "another thing")
    found = prompts(models)
    assert (found.texts, found.source) == ({}, file)
    assert f"{file} was changed after the training was started" in found.fault
    assert f"give `prompts:` for {models}" in found.fault
    assert LAYOUT.expected(Place(models, "mine")) is None
    put_samples(models, "mine", NOW + 60, 0.3, step=100)
    put_samples(models, "old", NOW - 900, 0.3, step=100)
    forget()
    assert "`prompts:`" not in prompts(models).fault, "it would be for the other trainings of the folder, too"
    assert "give each training a folder of its own" in prompts(models).fault
    mine = put_prompts(models.parent / "old.txt", NOW + 900)
    assert LAYOUT.prompts(Place(models, "mine", mine)).texts == ALL


def test_weights_tell_the_start_too(models: Path) -> None:
    file = models.parent / "sample_prompt.txt"
    edit(file, NOW + 600, "another thing")
    assert prompts(models).texts == {"0": "another thing"}, "no start is known: it is taken to be unchanged"
    forget()
    put_own_weights(models, "mine", NOW + 900, NOW + 10, "-000001")
    assert prompts(models).fault
    put_own_weights(models, "mine", NOW + 1900, NOW + 1000, "-000002")
    assert prompts(models).texts == {"0": "another thing"}


def test_a_file_that_is_written_anew_with_the_same_prompts_is_no_other(models: Path) -> None:
    logged(models.parent, NOW + 10)
    assert prompts(models).texts == ALL
    edit(models.parent / "sample_prompt.txt", NOW + 600, *PROMPTS)
    assert prompts(models).texts == ALL
    os.utime(models.parent / "sample_prompt.txt", (NOW + 700, NOW + 700))
    assert not prompts(models).fault


def test_a_process_tells_its_start_and_what_it_read_holds_after_its_end(folder: Path) -> None:
    file = put_prompts(folder.parent / "p.txt", time.time() - 60)
    with running(folder, *TRAINS, "--sample_prompts=p.txt"):
        assert prompts(folder).texts == ALL
        edit(file, time.time() + 5, "another thing")
        assert prompts(folder).texts == ALL
        forget()
        assert "was changed after" in prompts(folder).fault
    with running(folder, *TRAINS, "--sample_prompts=p.txt"):
        assert "was changed after" in prompts(folder).fault, "the file is from the future of this start"
        edit(file, time.time() - 10, "another thing")
        assert prompts(folder).texts == {"0": "another thing"}


def test_a_start_that_is_known_no_more_still_counts(models: Path) -> None:
    log = models.parent / "logs"
    logged(models.parent, NOW + 10)
    assert prompts(models).texts == ALL
    edit(models.parent / "sample_prompt.txt", NOW + 600, "another thing")
    log.rename(models.parent / "gone")
    assert prompts(models).texts == ALL


def test_json_and_toml_are_read_and_a_file_of_nonsense_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(
        json.dumps(["a cat --f 9", {"prompt": "a dog", "frame_count": 25}, {"prompt": "x"}])
    )
    (tmp_path / "p.toml").write_text('[prompt]\nwidth = 64\n[[prompt.subset]]\nprompt = "a cat"\nframe_count = 5\n')
    (tmp_path / "n.json").write_text("[3]")
    assert asked_by(tmp_path / "p.json").prompts.texts == {"0": "a cat", "1": "a dog", "2": "x"}
    assert asked_by(tmp_path / "p.toml").prompts.texts == {"0": "a cat"}
    assert (asked_by(tmp_path / "p.json").videos, asked_by(tmp_path / "p.toml").videos) == ({0, 1}, {0})
    assert "is not usable by musubi-tuner" in asked_by(tmp_path / "n.json").prompts.fault
    assert asked_by(tmp_path / "missing.txt").videos == frozenset()


@given(
    text=st.text(st.characters(codec="ascii", categories=["L", "Zs"]), min_size=1).filter(str.strip),
    flags=st.lists(FLAGS),
    frames=st.integers(5, 99) | st.none(),
)
def test_flags_are_no_part_of_a_prompt_and_tell_videos(
    tmp_path_factory: pytest.TempPathFactory, text: str, flags: list[str], frames: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "flags.txt"
    more = [] if frames is None else [f"--f {frames}"]
    path.write_text(" ".join([text.strip(), *flags, *more]) + "\n")
    assert asked_by(path).prompts.texts == {"0": text.strip()}
    assert asked_by(path).videos == (frozenset() if frames is None else {0})


def test_only_prompts_that_give_pictures_are_waited_for(models: Path) -> None:
    file = models.parent / "sample_prompt.txt"
    assert LAYOUT.expected(Place(models, "mine")) == 8
    put_video(models, "mine", NOW + 60, 3, step=100)  # whatever its prompt says
    assert LAYOUT.expected(Place(models, "mine")) == 7
    put_video(models, "other", NOW + 60, 4, step=100)
    assert LAYOUT.expected(Place(models, "mine")) == 7
    file.write_text(file.read_text().replace("kind 5 --n", "kind 5 --f 25 --n"))
    assert LAYOUT.expected(Place(models, "mine")) == 6
    file.write_text("a thing --f 25\n")
    assert LAYOUT.expected(Place(models, "mine")) is None


def test_a_prompt_that_begins_like_a_flag_counts_as_that_as_in_the_trainer(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("f 50 cats --w 64\nF 8 dogs\noff 9 --F 2\n")
    assert asked_by(tmp_path / "p.txt").videos == {0, 1}


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"sample_images": False}, "it generates no samples: set `--sample_prompts` and `--sample_every_n_steps`"),
        ({"additional_args": "--sample_every_n_steps 50"}, "it samples every 50 steps and every 4 epochs"),
        ({"additional_args": "--log_with wandb"}, "set `logging_dir`, or `sample_every_n_steps`"),
        ({"save_every_n_epochs": 0}, "saves nothing before its end"),
        ({}, "as musubi-tuner saves nothing when it is stopped; set `save_state`"),
        ({"additional_args": "--save_state"}, "musubi-tuner saves nothing when it is stopped: what"),
        ({}, "it samples 1 prompt, and rules that stop a run want 8: write them into a file of your own"),
        ({"additional_args": "--sample_prompts few.txt"}, "few.txt, which musubi-tuner reads when it is started"),
    ],
)
def test_settings_that_make_a_run_hard_to_judge_or_dear_to_stop_are_told(
    tmp_path: Path, settings: dict[str, object], advice: str
) -> None:
    models = put_project(tmp_path / "cats", "mine", NOW, **settings)
    put_prompts(tmp_path / "cats" / "few.txt", NOW, PROMPTS[:2])
    told = LAYOUT.setup(Place(models, "mine")).advice
    assert [one for one in told if advice in one]


def test_videos_are_told_and_do_not_count_as_prompts(models: Path) -> None:
    for number in range(3):
        put_video(models, "mine", NOW, number, step=100)
    told = LAYOUT.setup(Place(models, "mine")).advice
    assert told[0].startswith("3 of its prompts make videos, which are not scored")
    assert told[1].startswith("it samples 5 prompts, and rules that stop a run want 8")


def test_good_settings_are_told_only_what_a_stop_costs(tmp_path: Path) -> None:
    models = put_project(tmp_path / "cats", "mine", NOW, PROMPTS, additional_args="--save_state")
    found = LAYOUT.setup(Place(models, "mine"))
    assert len(found.advice) == 1
    assert (found.config, found.trackers) == (tmp_path / "cats" / "musubi_project.toml", ("tensorboard",))
    assert found.run_name == "mine"
    assert LAYOUT.setup(Place(models, "unknown")).advice == ()
