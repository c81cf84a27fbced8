"""Every family of models gives transformers' own number, text by text and picture by picture."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoImageProcessor, AutoTokenizer, CLIPModel
from transformers.activations import ACT2FN

from tests.unit.score_families import CONTEXT, MODELS, clip, siglip
from tests.unit.score_models import CAPTION, Reference, change_json, encoded, picture, scored
from watcher.demo.stage import CLIP
from watcher.errors import ScoreError
from watcher.score import Job
from watcher.score.encoder import Encoder
from watcher.score.families import FAMILIES
from watcher.score.fast import FastLinear, usable
from watcher.score.model import Model
from watcher.score.precision import TOLERANCE, Precision

NEAR = 1e-4
ATTENTION_POOLING = (nn.modules.linear.NonDynamicallyQuantizableLinear,)
"""A layer of SigLIP's head, which torch's own attention takes apart."""
PROMPTS = (CAPTION, "red", "a large blue disc", " ".join(["a", "red", "ring"] * 20), "")
PICTURES = {
    "square": encoded(picture(64, 64)),
    "wide": encoded(picture(150, 35)),
    "tall": encoded(picture(33, 120)),
    "large": encoded(picture(700, 500, seed=3), "JPEG"),
    "grey": encoded(picture(90, 60, seed=4).convert("L")),
}


@pytest.fixture(scope="module", params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MODELS[request.param](tmp_path_factory.mktemp("model") / "model")


def cut(reference: Reference, text: str, context: int) -> list[int]:
    """Give a text's tokens, cut before its end token."""
    whole = reference.tokenizer(text, verbose=False)["input_ids"]
    return whole if len(whole) <= context else [*whole[: context - 1], whole[-1]]


def expected(reference: Reference, image: object, text: str) -> float:
    config = reference.model.config
    context = {"clip": config.text_config.max_position_embeddings}.get(config.model_type, CONTEXT)
    tokens = cut(reference, text, context)
    if config.model_type == "siglip":  # as it was trained: padded to its context, the padding in view
        tokens = [*tokens, *[reference.tokenizer.pad_token_id] * (CONTEXT - len(tokens))]
    return reference.cosine_of_tokens(image, tokens)  # type: ignore[arg-type]


def test_a_batch_of_unlike_pictures_and_prompts_scores_as_one_at_a_time(folder: Path, tmp_path: Path) -> None:
    reference, model = Reference(folder), Model.load(str(folder), "cpu")
    pairs = [(kind, prompt) for kind in PICTURES for prompt in PROMPTS]
    for kind, data in PICTURES.items():
        (tmp_path / kind).write_bytes(data)
    found = scored(model, [Job(number, tmp_path / kind, text) for number, (kind, text) in enumerate(pairs)])
    wanted = []
    for kind, text in pairs:
        with Image.open(tmp_path / kind) as image:
            wanted.append(expected(reference, image.convert("RGB"), text))
    assert [one.cosine for one in found] == pytest.approx(wanted, abs=NEAR)
    assert max(wanted) - min(wanted) > 100 * NEAR  # a mix-up would show
    assert [one.truncated for one in found] == [text == PROMPTS[3] for _, text in pairs]


def test_a_prompt_of_just_the_context_is_whole_and_one_more_is_cut(folder: Path, tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    context = Reference(folder).model.config.text_config.max_position_embeddings
    context = CONTEXT if context < 2 * CONTEXT else context
    jobs = [Job(n, tmp_path / "a.png", " ".join(["red"] * (context - 2 + n))) for n in range(2)]
    assert [one.truncated for one in scored(Model.load(str(folder), "cpu"), jobs)] == [False, True]


def test_a_siglip_is_padded_as_it_was_trained_and_not_to_the_longest_of_a_batch(tmp_path: Path) -> None:
    reference = Reference(siglip(tmp_path / "model"))
    short = reference.tokenizer("red")["input_ids"]
    assert reference.cosine_of_tokens(picture(), short) != pytest.approx(
        expected(reference, picture(), "red"), abs=10 * NEAR
    )
    picture().save(tmp_path / "a.png")
    (found,) = scored(Model.load(str(tmp_path / "model"), "cpu"), [Job(1, tmp_path / "a.png", "red")])
    assert found.cosine == pytest.approx(expected(reference, picture(), "red"), abs=NEAR)


def test_each_family_has_its_model_here() -> None:
    assert {one.model_type for one in FAMILIES} == {"clip", "siglip", "vision-text-dual-encoder"}


def test_the_identity_tells_how_texts_are_cut_and_padded(folder: Path) -> None:
    kind = Reference(folder).model.config.model_type
    assert Model.load(str(folder), "cpu").identity.split("/")[-2:] == [
        "fp32",
        "padded" if kind == "siglip" else "keep-end",
    ]


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("which", ["demo", "random", "siglip"])
def test_half_precision_stays_within_what_is_documented(dtype: Precision, which: str, tmp_path: Path) -> None:
    made = {"demo": lambda _: CLIP, "random": lambda f: clip(f, 224, 32), "siglip": siglip}[which](tmp_path / "model")
    jobs = [Job(n, tmp_path / f"{n}.png", text) for n, text in enumerate(PROMPTS[:4] * 4)]
    for job in jobs:
        picture(90 + job.sample_id, 70, seed=job.sample_id).save(job.path)
    whole = [one.cosine for one in scored(Model.load(str(made), "cpu"), jobs)]
    half = Model.load(str(made), "cpu", dtype=dtype)
    found = scored(half, jobs)
    off = np.abs(np.array([one.cosine for one in found]) - np.array(whole)).max()
    assert 0 < off <= TOLERANCE[dtype]
    assert f"/{dtype}/" in half.identity
    for one in found:  # normalised in fp32, whatever the model calculates in
        assert np.linalg.norm(np.frombuffer(one.image, dtype=np.float32)) == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(np.frombuffer(one.text, dtype=np.float32)) == pytest.approx(1, abs=1e-6)


def test_attention_is_torchs_own_whatever_a_configuration_says(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / folder.name))
    change_json(copy / "config.json", attn_implementation="eager")
    seen: list[int] = []
    plain = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: (seen.append(1), plain(*a, **k))[1]
    )
    made = Model.load(str(copy), "cpu")
    assert seen
    assert made.identity == Model.load(str(folder), "cpu").identity


@pytest.mark.skipif(not usable(), reason="this processor has no AVX2, or this torch no oneDNN")
def test_the_linear_layers_of_every_family_are_quick_in_fp32_and_torchs_own_in_half(folder: Path) -> None:
    quick = Model.load(str(folder), "cpu").encoder._model
    assert {type(one) for one in quick.modules() if isinstance(one, nn.Linear)} <= {FastLinear, *ATTENTION_POOLING}
    assert any(isinstance(one, FastLinear) and one.activation.attribute != "none" for one in quick.modules())
    half = Model.load(str(folder), "cpu", dtype="bf16").encoder._model
    assert not any(isinstance(one, FastLinear) for one in half.modules())
    assert {one.dtype for one in half.parameters()} == {torch.bfloat16}


class Odd(nn.Module):
    """An activation that is GELU and asks torch for something that it has in no half precision, as older ones do."""

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        torch.cdist(*[torch.eye(2, dtype=numbers.dtype)] * 2)
        return torch.nn.functional.gelu(numbers)


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(ACT2FN, "odd", Odd)
    return clip(tmp_path / "odd", act="odd")


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_device_that_cannot_calculate_in_a_precision_says_so_with_the_way_out(dtype: Precision, odd: Path) -> None:
    Model.load(str(odd), "cpu")
    with pytest.raises(ScoreError, match=f"cpu cannot calculate in {dtype} .*; set `dtype: fp32`, or a dev") as caught:
        Model.load(str(odd), "cpu", dtype=dtype)
    assert caught.value.permanent


def test_a_model_that_moves_to_a_device_without_its_precision_blames_no_picture(odd: Path) -> None:
    parts = [cls.from_pretrained(odd) for cls in (CLIPModel, AutoImageProcessor, AutoTokenizer)]
    moved = Encoder(*parts, "odd", "cpu", "bf16")  # as if it had been loaded where it can be calculated
    with pytest.raises(ScoreError, match="odd: cpu cannot calculate in bf16") as caught:
        moved.to("cpu")
    assert caught.value.permanent


def test_weights_that_are_too_large_for_fp16_are_told_from_broken_ones(tmp_path: Path) -> None:
    folder = clip(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights["text_projection.weight"] *= 1e6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    Model.load(str(folder), "cpu", dtype="bf16")
    with pytest.raises(ScoreError, match="too large for `dtype: fp16`, where bf16 and fp32 would do"):
        Model.load(str(folder), "cpu", dtype="fp16")
