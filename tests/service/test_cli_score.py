"""`watcher score` over little folders: every number is the one that transformers gives, and nothing is left unsaid."""

from __future__ import annotations

import csv
import io
import json
import random
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from tests.commands import Answer, alone, here
from tests.service.daemons import Place
from watcher.demo.stage import CLIP
from watcher.demo.world import Scene, draw, scenes
from watcher.errors import ScoreError
from watcher.score import Job, Scored, ScorerSettings, score_images
from watcher.score.precision import Precision

SCENES: list[Scene] = scenes()[:5]
PLACES = ("cat.png", "dog.jpg", "sub/cat.webp", "sub/deep/bird.PNG", "grey.bmp")
"""Where the pictures of a plain folder lie; its second one does not show what its prompt says."""


def score(folder: Path, *more: object) -> Answer:
    return here("score", folder, "--model", CLIP, "--device", "cpu", *more)


@torch.inference_mode()
def by_hand(path: Path, prompt: str) -> float:
    """Score one picture with transformers alone."""
    model = CLIPModel.from_pretrained(CLIP).eval()
    tokenizer, processor = AutoTokenizer.from_pretrained(CLIP), CLIPImageProcessor.from_pretrained(CLIP)
    pixels = processor(Image.open(path).convert("RGB"), return_tensors="pt").pixel_values
    made = model(**tokenizer([prompt], return_tensors="pt"), pixel_values=pixels)
    return float(torch.nn.functional.cosine_similarity(made.image_embeds, made.text_embeds).item())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of several formats, sizes and modes, each with its prompt beside it, and things that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = random.Random(3)
    for number, (name, scene) in enumerate(zip(PLACES, SCENES, strict=True)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = draw(SCENES[0] if number == 1 else scene, rng).resize((32 + 9 * number, 40))
        picture.convert("L" if name.startswith("grey") else "RGB").save(path)
        path.with_suffix(".txt").write_text(scene.caption)
    (folder / "notes.md").write_text("no picture")
    return folder


def images(answer: Answer) -> dict[str, dict[str, Any]]:
    return {image["prompt_key"]: image for image in answer.json["images"]}


def test_a_plain_folder_with_prompts_beside_its_pictures(pictures: Path) -> None:
    answer = score(pictures, "--json")
    assert (answer.status, answer.err) == (0, "")
    found = images(answer)
    assert sorted(found) == ["cat", "dog", "grey", "sub/cat", "sub/deep/bird"]
    for name, scene in zip(PLACES, SCENES, strict=True):
        image = found[name.rpartition(".")[0]]
        assert image["cosine"] == pytest.approx(by_hand(pictures / name, scene.caption), abs=1e-4)
        assert (image["path"], image["prompt"], image["step"]) == (str(pictures / name), scene.caption, 0)


def test_any_precision_that_a_scorer_can_have_may_be_asked_for(pictures: Path) -> None:
    for dtype in get_args(Precision):
        found = score(pictures, "--dtype", dtype, "--json").json
        assert f"/{dtype}/" in found["identity"]
    assert score(pictures, "--dtype", "fp8").status == 2


def test_the_shape_that_programs_rely_on(pictures: Path) -> None:
    found = score(pictures, "--json").json
    assert found["schema_version"] == 1
    assert found["identity"].startswith("clip@")
    cosines = [image["cosine"] for image in found["images"]]
    assert found["summary"]["clip/mean"] == pytest.approx(statistics.fmean(cosines))
    assert found["summary"]["clip/min"] == min(cosines)
    assert found["summary"]["clip/max"] == max(cosines)
    wanted = {"path", "step", "prompt_key", "prompt", "tile", "cosine", "health", "error"}
    assert all(wanted <= image.keys() for image in found["images"])
    assert {(image["tile"], image["error"], tuple(image["health"])) for image in found["images"]} == {(None, "", ())}


def test_prompts_of_a_file_win_over_those_beside(pictures: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"cat": SCENES[1].caption, "sub/cat.webp": SCENES[2].caption}))
    found = images(score(pictures, "--prompts", prompts, "--json"))
    assert found["cat"]["cosine"] == pytest.approx(by_hand(pictures / "cat.png", SCENES[1].caption), abs=1e-4)
    assert found["sub/cat"]["cosine"] == pytest.approx(by_hand(pictures / "sub/cat.webp", SCENES[2].caption), abs=1e-4)
    assert {key for key, image in found.items() if image["error"] == "no prompt"} == {"dog", "grey", "sub/deep/bird"}


def test_csv_has_a_row_for_every_picture(pictures: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(score(pictures, "--format", "csv").out)))
    found = images(score(pictures, "--json"))
    assert {row["prompt_key"]: float(row["cosine"]) for row in rows} == {k: i["cosine"] for k, i in found.items()}
    assert {row["path"] for row in rows} == {str(pictures / name) for name in PLACES}


def test_the_table_shows_the_lowest_first_and_then_the_means(pictures: Path) -> None:
    told = score(pictures).out.splitlines()
    cosines = [float(line.split()[0]) for line in told[1 : 1 + len(PLACES)]]
    assert cosines == sorted(cosines)
    assert told[-3].split()[:2] == ["clip/mean", "stderr"]
    assert told[-2].split()[0] == f"{score(pictures, '--json').json['summary']['clip/mean']:.4f}"
    assert told[-1].startswith("scored by clip@")
    assert told[-1].endswith(" on cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A trainer's folder with two steps, and one picture each that cannot be scored for another reason."""
    place = Place(tmp_path_factory.mktemp("run"), scenes=3)
    place.write(100)
    place.write(200, right=0.0)
    (place.images / "step_200_torn_0_32x32.png").write_bytes(b"\x89PNG not quite")
    Image.new("RGB", (64, 40)).save(place.images / "step_200_wide_0_32x32.png")
    Image.new("RGB", (32, 32)).save(place.images / "step_200_stranger_0_32x32.png")
    Image.new("RGB", (32, 32)).save(place.images / f"step_200_{place.scenes[0].slug}_1_32x32.png")
    return place


def test_what_cannot_be_scored_is_counted_for_what_it_is(run: Place) -> None:
    found = score(run.run, "--json").json
    states = {image["prompt_key"]: (image["state"], image["error"].split(":")[0]) for image in found["images"]}
    assert states["torn"] == ("undecodable", "not a readable image (14 bytes)")
    assert states["wide"] == ("unscorable", "cannot find the generated panel")
    assert states["stranger"] == ("unscorable", "no prompt")
    for metrics in (found["summary"], found["evaluations"][1]["metrics"]):
        assert [metrics[f"health/{name}"] for name in ("undecodable", "unscorable", "blank")] == [1, 2, 1]


def test_empty_prompts_and_variants_are_listed_and_left_out_of_the_summary(tmp_path: Path) -> None:
    place = Place(tmp_path, scenes=2)
    main = place.write(100)
    slug = place.scenes[0].slug
    (place.images / f"step_100_{slug}__lora_0_32x32.png").write_bytes(main[1].read_bytes())
    (place.images / "step_100_unconditional_0_32x32.png").write_bytes(main[0].read_bytes())
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps({"unconditional": "", **{scene.slug: scene.caption for scene in place.scenes}}))
    found = score(place.run, "--prompts", prompts, "--json").json
    assert [image["error"] for image in found["images"] if image["prompt_key"] == "unconditional"] == ["empty prompt"]
    assert [(one["variant"], one["metrics"]["clip/images"]) for one in found["evaluations"]] == [("", 2), ("lora", 1)]
    assert (found["summary"]["clip/images"], found["summary"]["health/unscorable"]) == (2, 0)
    assert found["summary"] == found["evaluations"][0]["metrics"]


def test_every_step_has_its_own_metrics_and_they_are_those_of_its_pictures(run: Place) -> None:
    found = score(run.run, "--json").json
    assert [(one["step"], one["variant"]) for one in found["evaluations"]] == [(100, ""), (200, "")]
    for one in found["evaluations"]:
        good = [i for i in found["images"] if i["step"] == one["step"] and i["state"] == "scored" and not i["health"]]
        assert one["metrics"]["clip/images"] == len(good) == 3
        assert one["metrics"]["clip/mean"] == pytest.approx(statistics.fmean(image["cosine"] for image in good))
        for image in good:
            assert image["cosine"] == pytest.approx(by_hand(Path(image["path"]), image["prompt"]), abs=1e-4)


def test_as_a_process_it_says_nothing_beside_the_result(pictures: Path) -> None:
    answer = alone("score", pictures, "--model", CLIP, "--device", "cpu", "--json")
    assert (answer.status, answer.err) == (0, "")
    assert len(answer.json["images"]) == len(PLACES)


def test_pictures_without_any_prompt_are_listed_and_the_way_out_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "cat.png")
    answer = score(tmp_path, "--json")
    assert answer.status == 1
    assert answer.json["images"][0]["error"] == "no prompt"
    assert "--prompts FILE" in answer.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["nope"], 2, "watcher: nope is not there; give a run's output folder, a folder of pictures, or pictures\n"),
        (
            ["here", "--prompts", "no.json"],
            2,
            "watcher: prompt file no.json cannot be read: No such file or directory\n",
        ),
        (
            ["here", "--device", "gpu"],
            2,
            "watcher: --device gpu: give auto, shared, cpu, cuda or cuda:N\n",
        ),
        (
            ["empty"],
            1,
            "watcher: empty: no images in it (it looks like no trainer's output, so pictures were looked for)\n",
        ),
        (["here", "--model", "/no/model"], 1, "watcher: model folder /no/model"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "here").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "here/cat.png")
    (tmp_path / "here/cat.txt").write_text("a cat")
    answer = here("score", *arguments)
    assert (answer.status, answer.out) == (status, "")
    assert answer.err.startswith(said)
    assert answer.err.count("\n") == 1


def test_trainings_that_share_a_folder_are_scored_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "sample").mkdir()
    captions = [scene.caption for scene in SCENES[:2]]
    (tmp_path / "sample_prompts.txt").write_text("\n".join(captions))
    rng = random.Random(5)
    for name, stamps in (("first", ("20250101000000",)), ("second", ("20250102000000", "20250103000000"))):
        for stamp in stamps:  # the second one was started twice
            for number, scene in enumerate(SCENES[:2]):
                draw(scene, rng).save(tmp_path / "sample" / f"{name}_000100_{number:02d}_{stamp}_42.png")
    answer = score(tmp_path, "--json")
    assert answer.status == 0
    assert [one["stream"] for one in answer.json["evaluations"]] == ["first", "second"]
    assert [(one["stream"], one["prompt"]) for one in answer.json["images"]] == [
        (name, caption) for name in ("first", "second") for caption in captions
    ]
    assert all("20250102" not in one["path"] for one in answer.json["images"])
    for one in answer.json["images"]:
        assert one["cosine"] == pytest.approx(by_hand(Path(one["path"]), one["prompt"]), abs=1e-4)
    told = score(tmp_path).out.splitlines()
    assert told[0].split()[:3] == ["cosine", "stream", "step"]
    assert [line.split()[:2] for line in told[-3:-1]] == [["first", "100"], ["second", "100"]]


@pytest.mark.parametrize("error", [ScoreError("no memory for a single image"), RuntimeError("CUDA error: lost\nmore")])
def test_what_was_scored_before_it_failed_is_shown_and_the_rest_named(
    error: Exception, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(settings: ScorerSettings, jobs: Iterable[Job]) -> Iterator[Scored]:
        yield next(score_images(settings.model_copy(update={"batch_size": 2}), jobs))
        raise error

    monkeypatch.setattr("watcher.view.score.score_images", fails)
    answer = score(pictures, "--json")
    assert answer.status == 1
    states = [(one["state"], one["cosine"] is not None, one["error"]) for one in answer.json["images"]]
    rest = ("ready", False, f"not scored: {str(error).splitlines()[0]}")
    assert states == [("scored", True, "")] * 2 + [rest] * (len(states) - 2)
    assert all(str(one["path"]) in answer.err for one in answer.json["images"][2:])
    monkeypatch.setattr("watcher.view.score.score_images", lambda *_: fails_at_once())
    assert score(pictures).status == 1


def fails_at_once() -> Iterator[Scored]:
    raise ScoreError("there is no such model")
    yield
