"""Which trainings share a folder, what each of them samples by, and what its settings say."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.kohya import PROMPTS, Log, put_config, put_sample, put_samples, put_weights, running
from watcher.discover import FoundRun, Place, RunSettings, find_runs
from watcher.discover.kohya import Kohya

LAYOUT = Kohya()
NOW = time.time() - 3600


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def found(folder: Path) -> list[FoundRun]:
    return find_runs([RunSettings(path=str(folder))])


def prompts(folder: Path, stream: str) -> dict[str, str]:
    return dict(LAYOUT.prompts(Place(folder, stream)).texts)


def test_every_output_name_is_a_run_of_its_own(folder: Path) -> None:
    put_sample(folder, "old", NOW, 0.3, 0, step=100)
    put_sample(folder, "new_one", NOW, 0.3, 0, epoch=1)
    put_sample(folder, None, NOW, 0.3, 0, step=100)
    assert [(run.stream, run.name) for run in found(folder)] == [("", "out"), ("new_one", "new_one"), ("old", "old")]
    assert found(folder)[0].reason == ("kohya: has samples of a training without output_name, new_one, old in sample/")
    assert len({run.id for run in found(folder)}) == 3


def test_a_run_keeps_its_id_from_its_configuration_to_its_samples_and_beyond(folder: Path) -> None:
    put_config(folder, "mine", NOW)
    ids = [[run.id for run in found(folder)]]
    put_weights(folder / "mine-000001.safetensors", NOW)
    ids.append([run.id for run in found(folder)])
    put_sample(folder, "mine", NOW, 0.3, 0, epoch=1)
    ids.append([run.id for run in found(folder)])
    for path in folder.glob("*.*"):
        path.unlink()
    ids.append([run.id for run in found(folder)])
    assert ids == [ids[0]] * 4
    assert len(ids[0]) == 1


def test_configurations_that_ask_for_no_samples_are_no_runs_beside_others(folder: Path) -> None:
    put_config(folder, "silent", NOW, sample_every_n_epochs=0)
    assert [run.name for run in found(folder)] == ["silent"]
    put_config(folder, "mine", NOW - 10)
    assert [run.name for run in found(folder)] == ["mine"]


def test_another_programs_file_of_a_similar_name_is_no_configuration(folder: Path) -> None:
    (folder / "notes_20250114-093012.json").write_text('{"output_name": "mine"}')
    (folder / "config_lora-20250114-093012.toml").write_text("a = 1")
    assert LAYOUT.detect(folder) == ""


def test_weights_that_note_sd_scripts_name_the_run(folder: Path) -> None:
    put_weights(folder / "a-000001.safetensors", NOW, {"ss_output_name": "a"})
    assert LAYOUT.detect(folder) == ""
    noted = {"ss_sd_scripts_commit_hash": "abc", "ss_output_name": "b"}
    put_weights(folder / "b-000001.safetensors", NOW - 5, noted)
    assert LAYOUT.detect(folder) == "has b-000001.safetensors, written by sd-scripts"
    assert LAYOUT.streams(folder) == ["b"]
    put_weights(folder / "last.safetensors", NOW, noted | {"ss_output_name": "None"})
    assert LAYOUT.streams(folder) == [""]


@pytest.mark.parametrize(
    "names",
    [
        ["sample/wan_000500_00_20250401120000_42_000.png", "wan_20250401-120000.json", "wan-000001.safetensors"],
        ["sample/wan_e000001_00_20250401120000.mp4", "config_lora-20250401-120000.toml"],
        ["samples/1724085406830__000000500_0.jpg", "config.yaml", "name_000000500.safetensors"],
        ["validation_images/step_5_cat_0_64x64.png", "checkpoint-5/training_state.json"],
        ["sample/prompt.txt", "notes.json", "mine_20250401-120000.json", "x-step00000500-state/train_state.json"],
    ],
    ids=["musubi-tuner", "musubi-tuner video", "ai-toolkit", "SimpleTuner", "nothing"],
)
def test_folders_of_other_trainers_are_not_taken(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text('output_name = "wan"' if name.endswith("toml") else '{"a": 1}')
    assert LAYOUT.detect(folder) == ""


def test_a_listing_is_read_again_once_the_folder_has_changed(folder: Path) -> None:
    put_sample(folder, "a", NOW, 0.3, 0, step=100)
    assert LAYOUT.streams(folder) == ["a"]
    put_sample(folder, "b", NOW, 0.3, 0, step=100)
    assert LAYOUT.streams(folder) == ["a", "b"]
    (folder / "sample" / os.fsdecode(b"\xe9_000100_00_20250114093012.png")).touch()
    assert LAYOUT.streams(folder) == ["a", "b"]


def test_the_gui_prompt_file_is_of_the_training_that_was_started_last(folder: Path) -> None:
    put_config(folder, "old", NOW - 1000, ["an old thing --w 512", "another"])
    assert prompts(folder, "old") == {"0": "an old thing", "1": "another"}
    put_samples(folder, "old", NOW - 900, 0.3, epoch=1)
    put_config(folder, "new", NOW, ["a new thing"])
    assert prompts(folder, "new") == {"0": "a new thing"}
    assert prompts(folder, "old") == {"0": "an old thing", "1": "another"}
    (folder / "sample/prompt.txt").write_text("edited while it runs")
    assert prompts(folder, "new") == {"0": "edited while it runs"}


def test_a_training_that_samples_on_after_another_start_reads_what_that_wrote(folder: Path) -> None:
    put_config(folder, "old", NOW - 1000, ["an old thing"])
    put_config(folder, "new", NOW, ["a new thing"])
    put_sample(folder, "old", NOW + 60, 0.3, 0, epoch=1)
    assert prompts(folder, "old") == {"0": "a new thing"}


def test_prompts_that_were_overwritten_and_are_kept_nowhere_are_not_guessed(folder: Path) -> None:
    put_config(folder, "old", NOW - 1000, ["an old thing"])
    put_config(folder, "new", NOW, ["a new thing"])
    next(folder.glob("old_*.json")).unlink()
    fault = LAYOUT.prompts(Place(folder, "old")).fault
    assert "was written for a later training" in fault
    assert "`prompts:`" not in fault, "it would be for the other trainings of the folder, too"


def test_a_configuration_of_before_the_toml_has_the_prompts_itself(folder: Path) -> None:
    put_config(folder, "mine", NOW, ["a thing"]).unlink()
    (folder / "sample/prompt.txt").unlink()
    assert prompts(folder, "mine") == {"0": "a thing"}


def test_fluxgyms_prompt_file_is_found(folder: Path) -> None:
    put_sample(folder, "mine", NOW, 0.3, 0, epoch=1)
    assert "give `prompts:`" in LAYOUT.prompts(Place(folder, "mine")).fault
    (folder / "sample_prompts.txt").write_text("a thing\n# no\nanother --d 3\n")
    assert prompts(folder, "mine") == {"0": "a thing", "1": "another"}


def test_a_prompt_file_is_found_though_the_trainers_container_calls_it_otherwise(folder: Path) -> None:
    put_config(folder, "mine", NOW, sample_prompts="/app/outputs/mine.toml")
    (folder / "mine.toml").write_text('[prompt]\n[[prompt.subset]]\nprompt = "a thing"\n')
    assert prompts(folder, "mine") == {"0": "a thing"}


def test_the_users_file_wins_and_is_read_by_sd_scripts_rules(folder: Path, tmp_path: Path) -> None:
    put_config(folder, "mine", NOW)
    mine = tmp_path / "mine.txt"
    mine.write_text("\n# none\nfirst --n bad\n")
    place = Place(folder, "mine", mine)
    assert (LAYOUT.prompts(place).texts, LAYOUT.expected(place)) == ({"0": "first"}, 1)


def test_every_prompt_gives_an_image(folder: Path) -> None:
    put_config(folder, "mine", NOW)
    assert LAYOUT.expected(Place(folder, "mine")) == len(PROMPTS)
    assert LAYOUT.expected(Place(folder, "other")) is None
    (folder / "sample/prompt.txt").write_bytes(b"\xff")
    assert LAYOUT.expected(Place(folder, "mine")) is None


@pytest.mark.parametrize("by_file", [True, False], ids=["config_file", "command line"])
def test_a_running_training_tells_its_settings(folder: Path, by_file: bool) -> None:
    (folder.parent / "p.txt").write_text("a thing\nanother\n")
    settings = {"output_dir": "out", "output_name": "mine", "sample_prompts": "p.txt", "logging_dir": "logs"}
    (folder.parent / "c.toml").write_text("[any]\n" + "".join(f'{k} = "{v}"\n' for k, v in settings.items()))
    given = ["--config_file", "c.toml"] if by_file else [f"--{k}={v}" for k, v in settings.items()]
    put_sample(folder, "mine", NOW, 0.3, 0, epoch=1)
    with running(folder, *given) as trainer:
        assert prompts(folder, "mine") == {"0": "a thing", "1": "another"}
        assert not prompts(folder, "other")
        log = Log(folder.parent / "logs", NOW)
        theirs = Log(folder.parent / "logs", NOW + 5)
        log.path.rename(log.path.with_name(f"events.out.tfevents.{int(NOW)}.host.domain.{trainer.pid}.0"))
        assert LAYOUT.setup(Place(folder, "mine")).logging_folder == log.folder
        log.close()
        theirs.close()


@pytest.mark.parametrize(("later", "project"), [(2, "toml"), (3600, "json")], ids=["same start", "next start"])
def test_the_gui_own_memory_counts_only_where_sd_scripts_was_given_nothing_since(
    folder: Path, later: float, project: str
) -> None:
    put_config(folder, "mine", NOW, log_tracker_name="toml")
    put_config(folder, "mine", NOW + later, log_tracker_name="json").unlink()
    assert LAYOUT.setup(Place(folder, "mine")).project == project


def test_two_processes_that_say_different_things_say_nothing(folder: Path) -> None:
    put_sample(folder, "mine", NOW, 0.3, 0, epoch=1)
    given = [f"--output_dir={folder}", "--output_name=mine"]
    for name in ("a", "b"):
        (folder.parent / f"{name}.txt").write_text(f"{name}\n")
    with running(folder, *given, f"--sample_prompts={folder.parent}/a.txt"):
        assert prompts(folder, "mine") == {"0": "a"}
        with running(folder, *given, f"--sample_prompts={folder.parent}/b.txt"):
            assert prompts(folder, "mine") == {}


def test_the_last_start_of_several_is_found_by_the_times_in_their_names(folder: Path) -> None:
    logs = folder.parent / "logs"
    put_config(folder, "old", NOW - 1000, logging_dir=str(logs))
    put_config(folder, "mine", NOW, logging_dir=str(logs))
    written = [Log(logs, NOW - 990), Log(logs, NOW + 10)]
    assert [LAYOUT.setup(Place(folder, name)).logging_folder for name in ("old", "mine")] == [
        written[0].folder,
        written[1].folder,
    ]
    written.append(Log(logs, NOW + 500))  # of another folder's training, or started by hand
    assert LAYOUT.setup(Place(folder, "mine")).logging_folder is None
    for log in written:
        log.close()


def test_settings_name_trackers_project_and_run(folder: Path) -> None:
    toml = put_config(
        folder, "mine", NOW, log_with="all", log_tracker_name="cats", wandb_run_name="third", logging_dir="l"
    )
    found = LAYOUT.setup(Place(folder, "mine"))
    assert (found.config, found.trackers) == (toml, ("tensorboard", "wandb"))
    assert (found.project, found.run_name) == ("cats", "third")


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({}, "set `logging_dir`"),
        ({"logging_dir": "logs", "log_with": "wandb"}, "set `logging_dir`"),
        ({"sample_every_n_steps": 100}, "makes sd-scripts ignore `sample_every_n_steps = 100`"),
        ({"sample_every_n_epochs": 0}, "generates no samples"),
        ({}, "saves nothing before its end"),
        ({"save_every_n_epochs": 1}, "set `save_state`"),
        ({"save_every_n_epochs": 1, "save_state": True}, "saves nothing when it is stopped"),
        ({"sample_prompts": "few.txt"}, "it samples 1 prompt, and rules that stop a run want 8: add lines to"),
    ],
)
def test_settings_that_make_a_run_hard_to_judge_or_dear_to_stop_are_told(
    folder: Path, settings: dict[str, object], advice: str
) -> None:
    (folder / "few.txt").write_text("a thing\n")
    put_config(folder, "mine", NOW, **settings)
    told = LAYOUT.setup(Place(folder, "mine")).advice
    assert [one for one in told if advice in one]


def test_good_settings_are_told_only_what_a_stop_costs(folder: Path) -> None:
    put_config(folder, "mine", NOW, logging_dir="logs", save_every_n_steps=100, save_state=True)
    assert len(LAYOUT.setup(Place(folder, "mine")).advice) == 1
    assert LAYOUT.setup(Place(folder, "unknown")).advice == ()
