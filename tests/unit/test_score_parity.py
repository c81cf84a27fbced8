"""The number is transformers' own: the same picture and prompt give the same cosine as CLIPModel called by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from transformers import CLIPModel

from tests.unit.score_models import CAPTION, Reference, copy_of_clip, encoded, picture, scored
from watcher.demo.stage import CLIP
from watcher.score import Job
from watcher.score.model import Model

NEAR = 1e-4


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference()


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(str(CLIP), "cpu")


def score(model: Model, path: Path, prompt: str = CAPTION, **more: object) -> float:
    (found,) = scored(model, [Job(1, path, prompt, **more)])  # type: ignore[arg-type]
    assert found.error == ""
    assert found.cosine is not None
    return found.cosine


def see_through() -> Image.Image:
    """Give a picture whose transparent half hides another colour."""
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def palette_with_hole() -> Image.Image:
    image = picture().quantize(16)
    image.info["transparency"] = 3
    return image


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


KINDS = {
    "rgb": encoded(picture()),
    "wide": encoded(picture(150, 35)),
    "tall": encoded(picture(33, 120)),
    "one pixel high": encoded(picture(20, 1)),
    "smaller than the model": encoded(picture(9, 7)),
    "exactly as large as the model": encoded(picture(32, 32)),
    "jpeg": encoded(picture(), "JPEG"),
    "webp": encoded(picture(), "WEBP", lossless=True),
    "grey": encoded(picture().convert("L")),
    "black and white": encoded(picture().convert("1")),
    "palette": encoded(picture().quantize(16)),
    "palette with a transparent colour": encoded(palette_with_hole(), transparency=3),
    "rgba": encoded(see_through()),
    "grey with alpha": encoded(see_through().convert("LA")),
    "cmyk": encoded(picture().convert("CMYK"), "JPEG"),
    "progressive jpeg": encoded(picture(), "JPEG", progressive=True),
    "grey jpeg": encoded(picture().convert("L"), "JPEG"),
    "animated webp": encoded(
        picture(), "WEBP", lossless=True, save_all=True, append_images=[picture(seed=1), picture(seed=2)]
    ),
    "animated png": encoded(picture(), save_all=True, append_images=[picture(seed=1), picture(seed=2)]),
    "animated": encoded(picture(), "GIF", save_all=True, append_images=[picture(seed=1), picture(seed=2)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_picture_scores_as_transformers_has_it(
    kind: str, model: Model, reference: Reference, tmp_path: Path
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(KINDS[kind])
    with Image.open(path) as image:
        expected = reference.cosine(image, CAPTION)
    assert score(model, path) == pytest.approx(expected, abs=NEAR)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_seen_upright_as_its_exif_says(
    orientation: int, model: Model, reference: Reference, tmp_path: Path
) -> None:
    data = encoded(picture(), "JPEG", exif=exif(orientation))
    (tmp_path / "a.jpg").write_bytes(data)
    with Image.open(io.BytesIO(data)) as image:
        expected = reference.cosine(ImageOps.exif_transpose(image), CAPTION)
    assert score(model, tmp_path / "a.jpg") == pytest.approx(expected, abs=NEAR)


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped(model: Model, reference: Reference, tmp_path: Path) -> None:
    grey = np.asarray(picture().convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    expected = reference.cosine(Image.fromarray(grey), CAPTION)
    assert score(model, tmp_path / "deep.png") == pytest.approx(expected, abs=NEAR)


def test_a_tile_scores_as_a_picture_of_its_own(model: Model, reference: Reference, tmp_path: Path) -> None:
    image = picture(120, 60)
    image.save(tmp_path / "grid.png")
    expected = reference.cosine(image.crop((60, 0, 120, 60)), CAPTION)
    assert score(model, tmp_path / "grid.png", tile=(60, 0, 120, 60)) == pytest.approx(expected, abs=NEAR)
    assert score(model, tmp_path / "grid.png") != pytest.approx(expected, abs=NEAR)


def test_a_long_prompt_is_cut_before_its_end_token(model: Model, reference: Reference, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    prompt = " and ".join([CAPTION] * 6)
    whole = reference.tokenizer(prompt, verbose=False)["input_ids"]
    kept = [*whole[:15], reference.tokenizer.eos_token_id]  # the demo's CLIP has a context of 16
    (found,) = scored(model, [Job(1, tmp_path / "a.png", prompt)])
    assert found.cosine == pytest.approx(reference.cosine_of_tokens(picture(), kept), abs=NEAR)
    assert found.truncated


def test_a_prompt_of_just_the_context_is_not_called_truncated(model: Model, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    prompts = [" ".join(["red"] * number) for number in (13, 14, 15)]  # and two tokens for start and end
    scores = scored(model, [Job(1, tmp_path / "a.png", text) for text in prompts])
    assert [one.truncated for one in scores] == [False, False, True]


def test_a_batch_gives_what_each_image_gives_alone_in_its_order(
    model: Model, reference: Reference, tmp_path: Path
) -> None:
    sizes = [(50, 40), (31, 90), (64, 64), (40, 50), (33, 32)]
    pictures = [picture(*size, seed=number) for number, size in enumerate(sizes)]
    prompts = ["red", CAPTION, " ".join(["blue"] * 14), "a large disc", CAPTION]
    for number, image in enumerate(pictures):
        image.save(tmp_path / f"{number}.png")
    jobs = [Job(number, tmp_path / f"{number}.png", text) for number, text in enumerate(prompts)]
    scores = scored(model, jobs)
    expected = [reference.cosine(image, text) for image, text in zip(pictures, prompts, strict=True)]
    assert [one.sample_id for one in scores] == list(range(len(jobs)))
    assert [one.cosine for one in scores] == pytest.approx(expected, abs=NEAR)
    assert max(expected) - min(expected) > 100 * NEAR  # a mix-up would show


def test_weights_stored_in_half_precision_are_calculated_with_in_fp32(tmp_path: Path) -> None:
    folder = copy_of_clip(tmp_path / "half")
    CLIPModel.from_pretrained(CLIP, dtype=torch.float16).save_pretrained(folder)
    picture().save(tmp_path / "a.png")
    half = Model.load(str(folder), "cpu")
    assert score(half, tmp_path / "a.png") == pytest.approx(Reference(folder).cosine(picture(), CAPTION), abs=1e-6)
