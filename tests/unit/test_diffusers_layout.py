"""What the scripts log, family by family: each generated picture is found once, with its step, prompt and pixels."""

from __future__ import annotations

import time
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from tests.contract.registries import make
from tests.diffusers_logs import CONTROL, DISTILLED, MANY, ONE, WITHIN, Script, put_edit, put_prompts, shades
from watcher import inside
from watcher.discover import Facts, FoundRun, Layout, Place, RunSettings, scan
from watcher.discover.diffusers import Diffusers
from watcher.pictures import decode, size_of

AT = 1_700_000_000.0
Table = dict[tuple[str, int, str, int], tuple[str | None, int]]
"""Prompt, and the shade that was drawn, by variant, step, key and number of the picture."""


def table(folder: Path, layout: Layout | None = None, prompts: Path | None = None) -> Table:
    """Give what a run's pictures turn into; each must be of one shade alone, so that no crop is off by a pixel."""
    layout = layout or Diffusers()
    run = FoundRun("id", "run", folder, layout, "", RunSettings(path=str(folder), prompts=prompts))
    texts, found = layout.prompts(run.place).texts, {}
    for file in scan(run):
        width, height = size_of(file.path)
        assert layout.flaw(run.place, file.facts, width, height) == ""
        for facts in layout.split(run.place, file.facts, width, height):
            (shade,) = np.unique(np.asarray(decode(inside.read_bytes(file.path), 10**6, facts.tile)))
            where = facts.variant, facts.step, facts.key, facts.index
            assert where not in found
            found[where] = texts.get(facts.key), int(shade)
    return found


def flaws(folder: Path, layout: Layout | None = None, prompts: Path | None = None) -> list[str]:
    """Give why a run's pictures cannot be scored."""
    layout = layout or Diffusers()
    run = FoundRun("id", "run", folder, layout, "", RunSettings(path=str(folder), prompts=prompts))
    return [layout.flaw(run.place, file.facts, *size_of(file.path)) for file in scan(run)]


def test_a_script_that_logs_its_epoch_gets_the_step_of_the_last_scalar(tmp_path: Path) -> None:
    script = Script(tmp_path, "dreambooth-lora", AT, ONE)
    for epoch, last in ((0, 30), (1, 60)):
        script.log(last)
        script.show("validation", shades(4), epoch, AT + last + 0.5)
    script.show("test", shades(4, 4), 2, AT + 70)
    script.close()
    main = {("", step, "0", n): ("a cat", 10 * (n + 1)) for step in (30, 60) for n in range(4)}
    assert table(tmp_path) == main | {("test", 60, "0", n): ("a cat", 10 * (n + 5)) for n in range(4)}
    run = FoundRun("id", "run", tmp_path, Diffusers(), "", RunSettings(path=str(tmp_path)))
    assert [file.facts.epoch for file in scan(run)] == [0.0, 1.0, 2.0]


def test_a_script_that_validates_within_an_epoch_logs_scalars_after_it(tmp_path: Path) -> None:
    script = Script(tmp_path, "textual_inversion", AT, WITHIN)
    for step in (98, 99):
        script.log(step)
    script.show("validation", shades(4), 3, AT + 99.5)
    for step in (100, 199):
        script.log(step)
    script.show("validation", shades(4), 3, AT + 199.5)
    script.close()
    assert {step for _, step, _, _ in table(tmp_path)} == {100, 200}


@pytest.mark.parametrize("first", [True, False], ids=["before any scalar", "later"])
def test_a_script_that_logs_its_step_is_taken_at_its_word(tmp_path: Path, first: bool) -> None:
    script = Script(tmp_path, "dreambooth", AT, WITHIN)
    if not first:
        script.log(99)
    script.show("validation", shades(4), 100, AT + 99.5)
    script.close()
    assert table(tmp_path) == {("", 100, "0", n): ("a cat", 10 * (n + 1)) for n in range(4)}


@pytest.mark.parametrize(
    ("tracker", "settings", "epoch"),
    [
        ("dreambooth-lora", ONE, 7.0),
        ("text2image-fine-tune", MANY, None),
        ("dreambooth", WITHIN, None),
        ("x", None, None),
    ],
)
def test_without_scalars_epochs_stay_epochs_and_steps_are_none(
    tmp_path: Path, tracker: str, settings: dict[str, object] | None, epoch: float | None
) -> None:
    script = Script(tmp_path, tracker, AT, settings)
    script.show("validation", shades(4), 7, AT + 50)
    script.close()
    run = FoundRun("id", "run", tmp_path, Diffusers(), "", RunSettings(path=str(tmp_path)))
    found = [(file.facts.step, file.facts.epoch, file.facts.by_epoch) for file in scan(run)]
    assert found == [(7, epoch, epoch is not None)]


def test_of_several_prompts_each_has_its_tile(tmp_path: Path) -> None:
    prompts = [f"a thing of kind {number}" for number in range(11)]
    script = Script(tmp_path, "text2image-fine-tune", AT, MANY)
    script.log(250)
    script.show("validation", shades(11), 250, AT + 300)
    script.close()
    found = table(tmp_path, prompts=put_prompts(tmp_path / "prompts.json", prompts))
    assert found == {("", 250, str(n), 0): (prompts[n], 10 * (n + 1)) for n in range(11)}


def test_the_conditioning_image_is_left_out_and_the_tag_is_the_prompt(tmp_path: Path) -> None:
    script = Script(tmp_path, "train_controlnet", AT, CONTROL)
    script.log(99)
    script.show("a red ball: what/ever?", shades(5), 100, AT + 100)
    script.show("a blue ball", shades(5, 5), 100, AT + 101)
    script.close()
    red = {("", 100, "a red ball: what/ever?", n): ("a red ball: what/ever?", 10 * (n + 2)) for n in range(4)}
    assert table(tmp_path) == red | {("", 100, "a blue ball", n): ("a blue ball", 10 * (n + 7)) for n in range(4)}


def test_one_prompt_with_several_conditioning_images_has_them_all(tmp_path: Path) -> None:
    script = Script(tmp_path, "sd_xl_train_t2iadapter", AT, {**CONTROL, "num_validation_images": 1})
    script.log(99)
    script.show("a ball", shades(2), 100, AT + 100)
    script.show("a ball", shades(2, 2), 100, AT + 101)
    script.log(100)
    script.show("a ball", shades(2, 4), 100, AT + 102)
    script.close()
    assert table(tmp_path) == {
        ("", 100, "a ball", 0): ("a ball", 20),
        ("", 100, "a ball", 1): ("a ball", 40),
        ("test", 100, "a ball", 0): ("a ball", 60),
    }


def test_distillation_shows_the_target_model_and_then_the_one_in_training(tmp_path: Path) -> None:
    script = Script(tmp_path, "text2image-fine-tune", AT, DISTILLED)
    script.log(199)
    script.show("Astronaut in a jungle", shades(4), 200, AT + 200)
    script.show("Astronaut in a jungle", shades(4, 4), 200, AT + 201)
    script.close()
    tag = "Astronaut in a jungle"
    main = {("", 200, tag, n): (tag, 10 * (n + 1)) for n in range(4)}
    assert table(tmp_path) == main | {("online", 200, tag, n): (tag, 10 * (n + 5)) for n in range(4)}


def test_unconditional_pictures_have_no_prompt_unless_the_user_gives_one(tmp_path: Path) -> None:
    script = Script(tmp_path, "train_unconditional", AT)
    script.log(40)
    script.show("test_samples", shades(16), 0, AT + 50)
    script.close()
    (flaw,) = flaws(tmp_path)
    assert "images: N" in flaw
    layout = make(Diffusers, images=16)
    assert table(tmp_path, layout) == {("", 40, "0", n): (None, 10 * (n + 1)) for n in range(16)}
    prompts = put_prompts(tmp_path / "prompts.json", {"0": "a flower"})
    assert {prompt for prompt, _ in table(tmp_path, layout, prompts).values()} == {"a flower"}


def test_pictures_that_are_files_are_read_by_their_names(tmp_path: Path) -> None:
    Script(tmp_path, "instruct-pix2pix-xl", AT, {**WITHIN, "validation_prompt": "make it night"}).close()
    for number in range(2):
        put_edit(tmp_path, 100, number, Image.new("RGB", (8, 8), (number, number, number)), AT + 100)
    assert table(tmp_path) == {("", 100, "0", n): ("make it night", n) for n in range(2)}


def test_a_picture_of_one_is_not_cut(tmp_path: Path) -> None:
    script = Script(tmp_path, "dreambooth", AT, {**WITHIN, "num_validation_images": 1})
    script.show("validation", shades(1), 100, AT + 100)
    script.close()
    run = FoundRun("id", "run", tmp_path, Diffusers(), "", RunSettings(path=str(tmp_path)))
    (file,) = scan(run)
    (facts,) = Diffusers().split(run.place, file.facts, 8, 8)
    assert facts.tile is None


@pytest.mark.parametrize(
    ("tracker", "settings", "tag", "said"),
    [
        ("dreambooth", None, "validation", "no `num_validation_images` is known of dreambooth; say how many"),
        ("text2image-fine-tune", MANY, "validation", "not seen running"),
        ("train_controlnet", None, "a ball", "no `num_validation_images` is known of train_controlnet"),
        ("mine", ONE, "a ball", "mine logs 'a ball', and no script"),
        ("dreambooth", {**ONE, "num_validation_images": 3}, "validation", "32x8 does not hold 3 of equal size"),
        ("dreambooth", {**ONE, "num_validation_images": 2}, "validation", "32x8 does not hold 2 of equal size"),
        ("dreambooth", {**ONE, "num_validation_images": 5}, "validation", "32x8 does not hold 5 of equal size"),
    ],
)
def test_what_cannot_be_told_is_never_cut(
    tmp_path: Path, tracker: str, settings: dict[str, object] | None, tag: str, said: str
) -> None:
    script = Script(tmp_path, tracker, AT, settings)
    script.show(tag, shades(4), 100, AT)
    script.close()
    (flaw,) = flaws(tmp_path)
    assert said in flaw


def test_a_script_that_may_have_been_given_other_pictures_is_believed_squares_only(tmp_path: Path) -> None:
    script = Script(tmp_path, "dreambooth", AT, WITHIN)
    script.show("validation", shades(3), 100, AT)
    script.close()
    (flaw,) = flaws(tmp_path)
    assert "24x8 does not hold 4" in flaw
    assert len(table(tmp_path, make(Diffusers, images=3))) == 3


def test_a_prompt_file_of_another_length_is_not_believed(tmp_path: Path) -> None:
    script = Script(tmp_path, "text2image-fine-tune", AT, MANY)
    script.show("validation", shades(8, side=21), 100, AT)
    script.close()
    for count in range(1, 8):
        (flaw,) = flaws(tmp_path, prompts=put_prompts(tmp_path / "prompts.json", ["x"] * count))
        assert f"does not hold {count}" in flaw
    assert flaws(tmp_path, prompts=put_prompts(tmp_path / "prompts.json", ["x"] * 8)) == [""]


def test_the_user_may_say_how_many_there_are_and_where_the_logs_are(tmp_path: Path) -> None:
    script = Script(tmp_path, "dreambooth", AT, logs="runs/here")
    script.show("validation", shades(3), 100, AT)
    script.close()
    layout = make(Diffusers, images=3, logs="runs/here")
    assert {shade for _, shade in table(tmp_path, layout).values()} == {10, 20, 30}
    assert len(table(tmp_path / "runs" / "here", make(Diffusers, images=3, logs="."))) == 3
    with pytest.raises(ValueError, match="leads out of the run's folder"):
        make(Diffusers, logs="../elsewhere")


def test_the_watchers_own_curves_and_hyperparameters_are_no_samples() -> None:
    layout = Diffusers()
    event = "events.out.tfevents.1.box.1.0"
    from watcher.discover import Embedded

    picture = Embedded(Path("x"), "validation", 1, AT, 8, 8, 9)
    assert layout.embedded(PurePath("logs/dreambooth") / event, picture) is not None
    for place in ("logs/dreambooth/watcher", "logs/dreambooth/1.5", "logs", "other/dreambooth"):
        assert layout.embedded(PurePath(place) / event, picture) is None


def test_how_many_pictures_will_come_is_known_where_the_tag_is_validation(tmp_path: Path) -> None:
    Script(tmp_path / "one", "dreambooth", AT, WITHIN).close()
    assert Diffusers().expected(Place(tmp_path / "one")) == 4
    Script(tmp_path / "many", "text2image-fine-tune", AT, MANY).close()
    assert Diffusers().expected(Place(tmp_path / "many")) is None
    prompts = put_prompts(tmp_path / "prompts.json", ["x"] * 9)
    assert Diffusers().expected(Place(tmp_path / "many", prompts=prompts)) == 9


@pytest.mark.parametrize(
    ("tracker", "settings", "tiles", "images"),
    [("train_controlnet", CONTROL, 5, 3 * 4), ("text2image-fine-tune", DISTILLED, 4, 2 * 4)],
)
def test_where_tags_are_prompts_the_first_validation_tells_how_many_the_next_will_have(
    tmp_path: Path, tracker: str, settings: dict[str, object], tiles: int, images: int
) -> None:
    script = Script(tmp_path, tracker, time.time(), settings)
    for step in (100, 200):
        script.log(step - 1)
        for tag in ("a ball", "a box", "a box"):
            script.show(tag, shades(tiles), step, AT + step)
        assert Diffusers().expected(Place(tmp_path)) == (None if step == 100 else images)
    script.log(200)
    script.show("a ball", shades(tiles), 200, AT + 201)
    assert Diffusers().expected(Place(tmp_path)) == images
    script.close()


def test_facts_of_a_file_are_left_alone() -> None:
    assert Diffusers().dated(Place(Path("/x")), Facts(5, "0"), AT) == Facts(5, "0")
