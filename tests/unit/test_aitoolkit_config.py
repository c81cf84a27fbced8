"""What ai-toolkit's configuration says: prompts with its numbers, step 0, trackers, and what its user should change."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Any

import pytest

from tests.aitoolkit import PROMPTS, put_config, put_save, sample_name
from watcher.discover import Facts, Place, RunSettings, choose_layout, find_runs, scan
from watcher.discover.aitoolkit import AiToolkit

LAYOUT = AiToolkit()
NOW = 1_724_085_406.0


def texts(folder: Path, prompts: list[object], **more: Any) -> dict[str, str]:
    put_config(folder, NOW, prompts, **more)
    found = LAYOUT.prompts(Place(folder))
    assert (found.fault, found.source) == ("", folder / "config.yaml")
    return dict(found.texts)


def test_flags_are_cut_off_and_the_placeholder_stays(tmp_path: Path) -> None:
    found = texts(tmp_path, ["[trigger] in a café --w 512 --n ugly", "  a cat--seed 4", "well-known", "--w 512", 1984])
    assert found == {"0": "[trigger] in a café", "1": "a cat", "2": "well-known", "3": "", "4": "1984"}


def test_what_has_no_prompt_is_not_numbered(tmp_path: Path) -> None:
    assert texts(tmp_path, ["a cat", None, "a dog"]) == {"0": "a cat", "1": "a dog"}


def test_the_older_list_of_prompts_is_read_and_the_newer_one_wins(tmp_path: Path) -> None:
    path = put_config(tmp_path, NOW, ["new"], sample={"prompts": ["old --w 8", "older"]})
    assert LAYOUT.prompts(Place(tmp_path)).texts == {"0": "new"}
    path.write_text(path.read_text().replace("samples:", "unused:"))
    assert LAYOUT.prompts(Place(tmp_path)).texts == {"0": "old", "1": "older"}
    assert LAYOUT.expected(Place(tmp_path)) == 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "No such file"),
        ("a: [", "is no YAML"),
        ("a: !!python/name:os.system x", "is no YAML"),
        ("a: !!int ''", "is no YAML"),
        ("a: !!bool maybe", "is no YAML"),
        ("[1, 2]", "no configuration of ai-toolkit"),
        ("job: extension\nconfig: {name: a, process: [{type: vae}]}", "no configuration of ai-toolkit"),
        ("job: extension\nconfig: {name: a, process: 3}", "no configuration of ai-toolkit"),
        ("config: {name: a, process: [{sample: {prompts: [a]}}]}", "no configuration of ai-toolkit"),
    ],
)
def test_what_is_not_its_configuration_is_a_fault_with_the_way_out(
    tmp_path: Path, text: str | None, fault: str
) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    found = LAYOUT.prompts(Place(tmp_path))
    assert fault in found.fault
    assert f"{tmp_path}/config.yaml" in found.fault
    assert f"give `prompts:` for {tmp_path}" in found.fault
    assert (found.texts, LAYOUT.expected(Place(tmp_path)), LAYOUT.detect(tmp_path)) == ({}, None, "")


@pytest.mark.parametrize(
    ("prompt", "scored"),
    [
        ("[trigger], a thing", "a thing"),
        ("a photo of [trigger] in a café", "a photo of in a café"),
        ("[name]like thing of [trigger]", "like thing of"),
        ("a  thing, untouched ,", "a  thing, untouched ,"),
        ("[trigger]", ""),
        ("a (cat:1.2) of ohwx", "a (cat:1.2) of ohwx"),
    ],
)
def test_what_stands_for_the_trigger_word_is_not_scored(prompt: str, scored: str) -> None:
    assert LAYOUT.worded(prompt) == scored


def test_a_trigger_word_that_is_written_out_is_taken_out_where_its_user_says_so(tmp_path: Path) -> None:
    entry = RunSettings.model_validate({"path": str(tmp_path), "layout": {"ai-toolkit": {"without": ["ohwx"]}}})
    assert entry.layout.worded("ohwx woman, not ohwxes") == "woman, not ohwxes"


def test_a_folder_is_recognised_by_its_configuration_or_by_its_samples(tmp_path: Path) -> None:
    put_config(tmp_path / "new", NOW)
    assert choose_layout("auto", tmp_path / "new")[1] == "ai-toolkit: has ai-toolkit's config.yaml"
    (tmp_path / "old/samples").mkdir(parents=True)
    assert choose_layout("auto", tmp_path / "old")[0] is None
    name = sample_name(500, 0, NOW)
    (tmp_path / "old/samples" / name).touch()
    assert choose_layout("auto", tmp_path / "old")[1] == f"ai-toolkit: has samples/{name}"


def at_step_0(folder: Path) -> dict[str, str]:
    """Give the key of each picture of step 0, and why it is not scored."""
    (found,) = find_runs([RunSettings(path=str(folder))])
    facts = [file.facts for file in scan(found)]
    return {one.key: LAYOUT.flaw(found.place, one, 8, 8) for one in facts if one.step == 0}


@pytest.fixture
def sampled(tmp_path: Path) -> Path:
    (tmp_path / "run/samples").mkdir(parents=True)
    for index in range(3):
        (tmp_path / "run/samples" / sample_name(0, index, NOW + index)).touch()
    return tmp_path / "run"


def test_prompts_of_the_first_sample_alone_have_keys_of_their_own(sampled: Path) -> None:
    first = {"samples": [{"prompt": text} for text in ("a cat", "a bird", "a fish")]}
    found = texts(sampled, ["a cat", "a dog"], first_sample=first, train={"skip_first_sample": True})
    assert found == {"0": "a cat", "1": "a dog", "first-1": "a bird", "first-2": "a fish"}
    assert at_step_0(sampled) == {"0": "", "first-1": "", "first-2": ""}
    assert LAYOUT.expected(Place(sampled)) == 2
    later = Facts(250, "1")
    assert LAYOUT.dated(Place(sampled), later, NOW) == later


def test_two_prompts_of_one_number_at_step_0_are_not_scored(sampled: Path) -> None:
    put_config(sampled, NOW, ["a cat", "a dog"], first_sample={"prompts": ["a cat", "a bird", "a fish"]})
    found = at_step_0(sampled)
    assert (found["0"], found["first-2"]) == ("", "")
    assert found["1"] == (
        "prompt 1 of `first_sample` and of `sample` are both sampled at step 0; "
        f"set `skip_first_sample` in {sampled}/config.yaml"
    )
    assert LAYOUT.flaw(Place(sampled), Facts(250, "1"), 8, 8) == ""


def test_prompts_of_the_user_are_not_those_of_the_first_sample(sampled: Path, tmp_path: Path) -> None:
    put_config(sampled, NOW, ["a cat", "a dog"], first_sample={"prompts": ["a fox", "a bird", "a fish"]})
    place = Place(sampled, prompts=tmp_path / "prompts.txt")
    assert "both sampled at step 0" in LAYOUT.flaw(place, Facts(0, "1", variant="base"), 8, 8)
    skipped = {"skip_first_sample": True}
    put_config(sampled, NOW + 1, ["a cat", "a dog"], first_sample={"prompts": ["a fox"]}, train=skipped)
    assert LAYOUT.dated(place, Facts(0, "0", variant="base"), NOW) == Facts(0, "first-0", variant="base")
    assert LAYOUT.dated(place, Facts(0, "1", variant="base"), NOW) == Facts(0, "1", variant="base")
    assert LAYOUT.flaw(place, Facts(0, "0", variant="base"), 8, 8) == ""


def test_a_run_begins_when_its_configuration_is_written(tmp_path: Path) -> None:
    put_config(tmp_path, NOW)
    assert LAYOUT.begun(Place(tmp_path)) == NOW


def advice(folder: Path, layout: AiToolkit = LAYOUT, **settings: Any) -> str:
    put_config(folder, NOW, settings.pop("prompts", PROMPTS), **settings)
    return "\n".join(layout.setup(Place(folder)).advice)


def test_a_run_that_is_set_up_well_needs_no_advice(tmp_path: Path) -> None:
    assert advice(tmp_path) == ""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"prompts": ["a cat"]}, "it samples 1 prompt, and rules that stop a run want 8"),
        ({"train": {"disable_sampling": True}}, "set `disable_sampling: false`"),
        ({"train": {"skip_first_sample": True}}, "set `skip_first_sample: false`"),
        ({"first_sample": {"prompts": ["a cat"]}}, "set `skip_first_sample: true`"),
        ({"save": {"save_every": 1000}}, "a stop loses up to 1000 steps; set `save_every: 250`"),
        ({"save": {}}, "it saves every 1000 steps and samples every 250"),
        ({"prompts": [*PROMPTS, "ohwx, a cat"]}, 'say `layout: {ai-toolkit: {without: ["ohwx"]}}`'),
        (
            {"sample": {"samples": [{"prompt": "it", "ctrl_img": "a.png"}] * 8}},
            "its samples start from other pictures (`ctrl_img`)",
        ),
    ],
)
def test_what_a_user_should_change_is_said_with_the_way(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    text = advice(tmp_path, **settings)
    assert said in text
    assert len(text.splitlines()) == 1


def test_a_trigger_word_that_is_taken_out_already_needs_no_advice(tmp_path: Path) -> None:
    assert advice(tmp_path, AiToolkit(without=("ohwx",)), prompts=[*PROMPTS, "ohwx, a cat"]) == ""


def test_trackers_project_and_the_newest_event_folder_are_found(tmp_path: Path) -> None:
    run = tmp_path / "output" / "my_lora"
    named = {"use_wandb": True, "project_name": "portraits", "run_name": "third"}
    put_config(run, NOW, log_dir="output/.tensorboard", logging=named)
    for name in ("my_lora_20250101-000000", "my_lora_20250301-000000", "my_lora_v2_20250601-000000"):
        (tmp_path / "output/.tensorboard" / name).mkdir(parents=True)
    found = LAYOUT.setup(Place(run))
    assert found.logging_folder == tmp_path / "output/.tensorboard/my_lora_20250301-000000"
    assert (found.trackers, found.project, found.run_name) == (("tensorboard", "wandb"), "portraits", "third")
    assert found.config == run / "config.yaml"
    put_config(run, NOW)
    found = LAYOUT.setup(Place(run))
    assert (found.logging_folder, found.trackers, found.project, found.run_name) == (None, (), "", "my_lora")


def test_what_survives_a_stop_is_the_newest_whole_save(tmp_path: Path) -> None:
    run = tmp_path / "my_lora"
    put_config(run, NOW)
    put_save(run, 250, NOW + 1)
    put_save(run, 500, NOW + 2)
    put_save(run, 750, NOW + 3, short=1)  # being written
    found = LAYOUT.checkpoints(Place(run))
    assert [(one.step, one.path.name, one.written_at) for one in found] == [
        (250, "my_lora_000000250.safetensors", NOW + 1),
        (500, "my_lora_000000500.safetensors", NOW + 2),
    ]
    put_save(run, None, NOW + 4, noted=800)
    assert LAYOUT.checkpoints(Place(run))[-1].step == 800


def test_a_whole_model_in_a_folder_counts_once_its_last_file_is_there(tmp_path: Path) -> None:
    (tmp_path / "flux_000000250/transformer").mkdir(parents=True)
    assert LAYOUT.checkpoints(Place(tmp_path)) == []
    (tmp_path / "flux_000000250/aitk_meta.yaml").touch()
    assert [one.step for one in LAYOUT.checkpoints(Place(tmp_path))] == [250]


def test_weights_of_the_end_that_note_no_step_are_left_out(tmp_path: Path) -> None:
    run = tmp_path / "my_lora"
    put_config(run, NOW)
    put_save(run, None, NOW, noted=-1)
    assert LAYOUT.checkpoints(Place(run)) == []


def test_its_fields_are_no_part_of_parsing() -> None:
    name = PurePath("samples") / sample_name(500, 3, NOW)
    assert AiToolkit(without=("ohwx",)).parse(name) == LAYOUT.parse(name) == Facts(500, "3")


def test_a_pipe_in_place_of_the_configuration_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.yaml")
    assert LAYOUT.detect(tmp_path) == ""
    assert "is no file" in LAYOUT.prompts(Place(tmp_path)).fault
