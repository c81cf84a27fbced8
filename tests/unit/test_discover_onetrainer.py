"""OneTrainer's workspace: by what it is recognised, whose prompts are whose, what is whole, what is advised."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.onetrainer import folder_name, put_backup, put_config, put_definitions, put_sample, sample_entry
from watcher.discover import Place, choose_layout
from watcher.discover.onetrainer import OneTrainer

LAYOUT = OneTrainer()
NOW = 1.75e9


def workspace(folder: Path) -> Path:
    """Give a workspace where OneTrainer puts it by default."""
    made = folder / "OneTrainer" / "workspace" / "run"
    made.mkdir(parents=True)
    return made


def definitions(folder: Path) -> Path:
    return folder / "OneTrainer" / "training_samples" / "samples.json"


def test_it_is_recognised_by_configuration_samples_or_backups_alone(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcd"]
    config = put_config(folders[0], NOW)
    sample = put_sample(folders[1], 0, "a cat", 5, NOW, Image.new("RGB", (8, 8)))
    backup = put_backup(folders[2], 5, NOW)
    (folders[3] / "config").mkdir(parents=True)
    (folders[3] / "config" / config.name).write_text("{}")  # another program's
    found = [choose_layout("auto", folder) for folder in folders]
    assert [reason for _, reason in found[:3]] == [
        f"onetrainer: has config/{config.name}",
        f"onetrainer: has samples/{sample.parent.name}/",
        f"onetrainer: has backup/{backup.name}",
    ]
    assert found[3][0] is None


def test_a_folder_of_another_trainers_samples_is_not_taken(tmp_path: Path) -> None:
    sample = put_sample(tmp_path, 0, "a cat", 5, NOW, Image.new("RGB", (8, 8)))
    sample.rename(tmp_path / "samples" / "1724085406830__000000500_0.jpg")
    assert LAYOUT.detect(tmp_path) == ""


def test_names_that_are_not_utf8_are_nobodys(tmp_path: Path) -> None:
    config = put_config(tmp_path, NOW)
    os.rename(config, os.fsencode(config.parent) + b"/\xe9-" + os.fsencode(config.name))  # noqa: PTH104 - as bytes
    assert LAYOUT.detect(tmp_path) == ""


def test_samples_that_are_switched_off_keep_their_numbers_and_are_not_expected(tmp_path: Path) -> None:
    entries = [sample_entry("a cat", enabled=False), sample_entry("a dog"), {"prompt": "a horse: running"}]
    put_config(tmp_path, NOW, entries)
    assert LAYOUT.prompts(Place(tmp_path)).texts == {
        "0 - a cat": "a cat",
        "1 - a dog": "a dog",
        "2 - a horse running": "a horse: running",
    }
    assert LAYOUT.expected(Place(tmp_path)) == 2


def test_a_list_that_was_reordered_gives_no_picture_the_prompt_of_another(tmp_path: Path) -> None:
    put_config(tmp_path, NOW - 100, [sample_entry("a cat"), sample_entry("a dog")])
    put_config(tmp_path, NOW, [sample_entry("a dog")])
    texts = LAYOUT.prompts(Place(tmp_path)).texts
    assert texts == {"0 - a cat": "a cat", "1 - a dog": "a dog", "0 - a dog": "a dog"}
    assert LAYOUT.expected(Place(tmp_path)) == 1


@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
def test_the_definitions_count_once_they_were_changed_after_the_start(tmp_path: Path, relative: bool) -> None:
    folder = workspace(tmp_path)
    named = {"workspace_dir": "workspace/run"} if relative else {}
    config = put_config(folder, NOW, [sample_entry("a cat")], **named)
    file = put_definitions(definitions(tmp_path), [sample_entry("a bird"), sample_entry("a fish")], NOW - 50)
    assert (LAYOUT.prompts(Place(folder)).source, LAYOUT.expected(Place(folder))) == (config, 1)
    put_definitions(file, [sample_entry("a cat"), sample_entry("a fish")], NOW + 50)
    found = LAYOUT.prompts(Place(folder))
    assert (found.source, found.texts) == (file, {"0 - a cat": "a cat", "1 - a fish": "a fish"})
    assert LAYOUT.expected(Place(folder)) is None  # was it started from a file that holds the samples itself?
    put_definitions(file, [sample_entry("a cat")], NOW + 60)
    assert LAYOUT.expected(Place(folder)) == 1
    file.write_text('[{"prompt": "a c')  # being written: the list of the start is the last that is known
    assert LAYOUT.prompts(Place(folder)).texts == {"0 - a cat": "a cat"}


def test_a_relative_workspace_says_where_the_definitions_are_and_no_others_are_taken(tmp_path: Path) -> None:
    folder = workspace(tmp_path)
    put_config(folder, NOW, [sample_entry("a cat")], workspace_dir="workspace/run")
    put_definitions(tmp_path / "training_samples/samples.json", [sample_entry("a bird")], NOW + 50)
    put_definitions(folder.parent / "training_samples/samples.json", [sample_entry("a fish")], NOW + 50)
    assert LAYOUT.prompts(Place(folder)).texts == {"0 - a cat": "a cat"}


def test_of_prompts_with_one_beginning_the_later_counts(tmp_path: Path) -> None:
    begin = "the same thirty-two characters in all of them"
    put_config(tmp_path, NOW - 100, [sample_entry(f"{begin}, by day")])
    put_config(tmp_path, NOW, [sample_entry(f"{begin}, by night")])
    assert LAYOUT.prompts(Place(tmp_path)).texts == {folder_name(0, begin): f"{begin}, by night"}


def test_the_users_list_is_numbered_as_samples_are(tmp_path: Path) -> None:
    put_config(tmp_path, NOW)
    file = put_definitions(tmp_path / "mine.json", [sample_entry("a cat", enabled=False), sample_entry("a dog")], NOW)
    assert LAYOUT.prompts(Place(tmp_path, prompts=file)).texts == {"0 - a cat": "a cat", "1 - a dog": "a dog"}
    file.write_text(json.dumps({"1 - ohwx dog": "a brown dog"}))
    assert LAYOUT.prompts(Place(tmp_path, prompts=file)).texts == {"1 - ohwx dog": "a brown dog"}
    assert LAYOUT.expected(Place(tmp_path, prompts=file)) is None


def test_without_any_list_the_way_out_is_told(tmp_path: Path) -> None:
    put_sample(tmp_path, 0, "a cat", 5, NOW, Image.new("RGB", (8, 8)))
    fault = LAYOUT.prompts(Place(tmp_path)).fault
    assert "give `prompts:`" in fault
    assert str(tmp_path) in fault


def test_what_json_can_say_and_nobody_can_store_is_read(tmp_path: Path) -> None:
    config = put_config(tmp_path, NOW, [sample_entry("a \ud800 cat")])
    assert r"\ud800" in config.read_text()
    (text,) = LAYOUT.prompts(Place(tmp_path)).texts.values()
    assert text == "a ? cat"


def test_where_videos_are_sampled_the_number_of_pictures_is_unknown(tmp_path: Path) -> None:
    put_config(tmp_path, NOW, [sample_entry("a cat"), sample_entry("a dog", frames=25)])
    assert LAYOUT.expected(Place(tmp_path)) is None


@pytest.mark.parametrize(
    ("prompt", "worded"),
    [
        ("a photo of <embedding>, at night", "a photo of, at night"),
        ("<cat-toy> on a table", "on a table"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("a (red) cat", "a (red) cat"),
    ],
)
def test_what_stands_for_an_embedding_is_not_scored(prompt: str, worded: str) -> None:
    assert LAYOUT.worded(prompt) == worded


def test_backups_are_checkpoints_once_they_are_whole(tmp_path: Path) -> None:
    later, first = put_backup(tmp_path, 90, NOW + 60), put_backup(tmp_path, 1000, NOW)
    put_backup(tmp_path, 1100, NOW + 120, whole=False)
    (put_backup(tmp_path, 1200, NOW + 180) / "meta.json").unlink()  # being pruned
    (tmp_path / "backup" / "mine").mkdir()
    found = [(one.step, one.path, one.written_at) for one in LAYOUT.checkpoints(Place(tmp_path))]
    assert found == [(1000, first, NOW), (90, later, NOW + 60)]


def test_curves_go_beside_onetrainers_own(tmp_path: Path) -> None:
    put_config(tmp_path, NOW - 9)
    config = put_config(tmp_path, NOW)
    assert LAYOUT.setup(Place(tmp_path)).logging_folder is None
    (tmp_path / "tensorboard" / config.stem).mkdir(parents=True)
    found = LAYOUT.setup(Place(tmp_path))
    assert (found.config, found.logging_folder, found.trackers) == (config, tmp_path / "tensorboard", ("tensorboard",))
    assert LAYOUT.begun(Place(tmp_path)) == NOW


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, None),
        ({"sample_after_unit": "NEVER"}, "it generates no samples: set `sample_after`"),
        ({"sample_after_unit": "MINUTE"}, "set it to STEP to compare runs"),
        ({"ema": "GPU"}, "`non_ema_sampling` switches the others off"),
        ({"ema": "GPU", "non_ema_sampling": False}, None),
        ({"backup_after_unit": "NEVER"}, "it makes no backups, and a stop saves nothing"),
    ],
)
def test_the_settings_are_advised_on(tmp_path: Path, settings: dict[str, object], said: str | None) -> None:
    put_config(tmp_path, NOW, **settings)
    advice = LAYOUT.setup(Place(tmp_path)).advice
    assert len(advice) == (said is not None)
    assert said is None or said in advice[0]


def test_the_samples_are_advised_on(tmp_path: Path) -> None:
    entries = [sample_entry("a cat", random_seed=True), sample_entry("a dog", frames=9), sample_entry("off")]
    folder = workspace(tmp_path)
    entries[2]["enabled"] = False
    config = put_config(folder, NOW, entries)
    few, random, videos = LAYOUT.setup(Place(folder)).advice
    assert "samples 2 prompts, and rules that stop a run want 8" in few
    assert few.endswith(f"they stand in {config}")
    file = put_definitions(definitions(tmp_path), entries, NOW - 50)  # where they can be edited
    assert LAYOUT.setup(Place(folder)).advice[0].endswith(f"they stand in {file}")
    assert random.startswith("1 of its 2 samples have a random seed")
    assert "videos, which are not scored" in videos


def test_a_pipe_in_place_of_a_configuration_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    os.mkfifo(tmp_path / "config" / "2025-01-14_09-29-50.json")
    assert LAYOUT.detect(tmp_path) == ""
