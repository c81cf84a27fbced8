"""A model that cannot be used says what it lacks; one that changed has another identity."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.unit.score_models import change_json, copy_of_clip
from watcher.config import load_config
from watcher.demo.stage import CLIP
from watcher.errors import ConfigError, ScoreError
from watcher.score import ScorerSettings, vision_of
from watcher.score.checkpoint import find_checkpoint
from watcher.score.footprint import activations
from watcher.score.model import Model
from watcher.score.precision import Precision

HUB_ID = "openai/clip-vit-base-patch32"


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def cut(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def poison(weights: dict[str, torch.Tensor]) -> None:
    weights["visual_projection.weight"] = torch.full_like(weights["visual_projection.weight"], torch.nan)


def shrink(weights: dict[str, torch.Tensor]) -> None:
    weights["text_projection.weight"] = weights["text_projection.weight"][:8].contiguous()


def set_nested(path: Path, section: str, **values: Any) -> None:
    change_json(path, **{section: {**json.loads(path.read_text())[section], **values}})


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "there is no such folder"),
    "empty": (empty, "it is empty"),
    "no configuration": (lambda f: (f / "config.json").unlink(), "it has no config.json"),
    "broken configuration": (lambda f: (f / "config.json").write_text("{"), "its config.json is broken"),
    "configuration of another kind": (lambda f: (f / "config.json").write_text("[]"), "its config.json is broken"),
    "another model": (lambda f: change_json(f / "config.json", model_type="bert"), "of type bert, none that scores"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "it has no weights"),
    "half of the weights": (cut, "incomplete metadata"),
    "a pointer of git-lfs": (lambda f: (f / "model.safetensors").write_text("version https://git-lfs"), "header"),
    "weights lack a tensor": (lambda f: change_weights(f, lambda w: w.pop("visual_projection.weight")), "visual_proj"),
    "weights of another size": (lambda f: change_weights(f, shrink), "text_projection.weight"),
    "weights without numbers": (lambda f: change_weights(f, poison), "its weights are broken"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "it has no tokenizer"),
    "half a tokenizer": (lambda f: (f / "tokenizer.json").rename(f / "vocab.json"), "it has no tokenizer"),
    "no preprocessing": (lambda f: (f / "preprocessor_config.json").unlink(), "it has no preprocessor_config.json"),
    "preprocessing for another size": (
        lambda f: change_json(f / "preprocessor_config.json", crop_size={"height": 16, "width": 16}),
        "it does not run",
    ),
    "an end token at which every text begins": (
        lambda f: set_nested(f / "config.json", "text_config", eos_token_id=1),
        "does not end a text with the token",
    ),
    "an end token that the tokenizer never writes": (
        lambda f: set_nested(f / "config.json", "text_config", eos_token_id=7),
        "does not end a text with the token",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_folder_that_is_no_whole_clip_says_what_is_wrong_and_what_was_expected(kind: str, tmp_path: Path) -> None:
    break_it, reason = FAULTS[kind]
    folder = copy_of_clip(tmp_path / "clip")
    break_it(folder)
    with pytest.raises(ScoreError) as caught:
        Model.load(str(folder), "cpu")
    assert caught.value.permanent
    assert str(caught.value).startswith(f"model folder {folder}: ")
    assert reason in str(caught.value)
    assert "expected a CLIP model, or one like it, as transformers' save_pretrained writes it: config.json" in str(
        caught.value
    )


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    folder = copy_of_clip(tmp_path / "clip")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": 22, "content": "<my-concept>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ScoreError, match="its tokenizer has 23 tokens, the model knows 22"):
        Model.load(str(folder), "cpu")


def test_a_hub_id_that_is_not_in_the_cache_says_how_to_fetch_it_and_downloads_nothing() -> None:
    with pytest.raises(ScoreError, match=f"`watcher model fetch {HUB_ID}`") as caught:
        find_checkpoint(HUB_ID)
    assert caught.value.permanent


def cached(cache: Path, *without: str) -> Path:
    """Put the demo's CLIP into a hub cache under a hub id; gives the snapshot's folder."""
    home = cache / "models--openai--clip-vit-base-patch32"
    snapshot = copy_of_clip(home / "snapshots" / ("0" * 40), *without)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0" * 40)
    return snapshot


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_hub_id_is_loaded_from_the_cache_and_names_the_identity(cache: Path) -> None:
    cached(cache)
    assert Model.load(HUB_ID, "cpu").identity.startswith(f"{HUB_ID}@")


def test_a_hub_id_that_is_only_half_in_the_cache_says_what_is_missing_and_how_to_fetch_it(cache: Path) -> None:
    snapshot = cached(cache, "model.safetensors")
    with pytest.raises(ScoreError) as caught:
        Model.load(HUB_ID, "cpu")
    assert f"model {HUB_ID} (cached in {snapshot}): it has no weights" in str(caught.value)
    assert f"`watcher model fetch {HUB_ID}` fetches what is missing" in str(caught.value)


def test_a_gpu_that_is_not_there_is_the_users_to_mend() -> None:
    with pytest.raises(ScoreError, match=r"device cuda:99: torch can use .* set `device: auto` or `cpu`") as caught:
        Model.load(str(CLIP), "cuda:99")
    assert caught.value.permanent


def nudge(weights: dict[str, torch.Tensor]) -> None:
    weights["visual_projection.weight"][0, 0] += 0.001


CHANGES: dict[str, Callable[[Path], object]] = {
    "one weight": lambda f: change_weights(f, nudge),
    "preprocessing": lambda f: change_json(f / "preprocessor_config.json", image_mean=[0.5, 0.5, 0.5]),
    "resampling": lambda f: change_json(f / "preprocessor_config.json", resample=2),
    "activation": lambda f: set_nested(f / "config.json", "vision_config", hidden_act="gelu"),
    "tokenizer": lambda f: (f / "tokenizer.json").write_text((f / "tokenizer.json").read_text() + "\n"),
    "name": lambda f: f.rename(f.parent / "other"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_the_number_changes_the_identity(what: str, tmp_path: Path) -> None:
    folder = copy_of_clip(tmp_path / "clip")
    before = find_checkpoint(str(folder)).identity()
    CHANGES[what](folder)
    (now,) = tmp_path.iterdir()
    assert find_checkpoint(str(now)).identity() != before


def test_the_precision_is_part_of_the_identity() -> None:
    identities = {find_checkpoint(str(CLIP)).identity(dtype) for dtype in ("fp32", "bf16", "fp16")}
    assert len(identities) == 3


def test_a_siglip_of_variable_resolution_is_refused_by_name(tmp_path: Path) -> None:
    folder = copy_of_clip(tmp_path / "clip")
    change_json(folder / "config.json", model_type="siglip2")
    with pytest.raises(ScoreError, match="NaFlex"):
        find_checkpoint(str(folder))


def test_what_changes_no_number_changes_no_identity(tmp_path: Path) -> None:
    before = find_checkpoint(str(CLIP)).identity()
    folder = copy_of_clip(tmp_path / "clip")
    change_json(folder / "config.json", transformers_version="6.0.0", _name_or_path="/home/me")
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(dict(reversed(settings.items()))))
    (folder / "README.md").write_text("my own notes")
    (folder / "pytorch_model.bin").write_bytes(b"a second copy, which is not loaded")
    (tmp_path / "link").symlink_to(folder)
    assert find_checkpoint(str(folder)).identity() == before
    assert find_checkpoint(str(tmp_path / "link")).identity() == before
    assert Model.load(str(folder), "cpu").identity == before


def model_in(config: Path, model: str) -> str:
    config.parent.mkdir(exist_ok=True)
    config.write_text(f"runs: [{{path: a}}]\nscorers: {{clip: {{model: {json.dumps(model)}}}}}\n")
    return load_config(config).scorers["clip"].model


def test_a_relative_model_folder_counts_from_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = tmp_path / "etc" / "watcher.yaml"
    assert model_in(config, "./models/clip") == str(tmp_path / "etc" / "models" / "clip")
    assert model_in(config, "models/vit/clip") == str(tmp_path / "etc" / "models" / "vit" / "clip")
    assert model_in(config, "~/clip") == str(tmp_path / "home" / "clip")
    assert model_in(config, "/srv/clip") == "/srv/clip"


def test_a_hub_id_stays_a_hub_id_unless_there_is_such_a_folder(tmp_path: Path) -> None:
    config = tmp_path / "etc" / "watcher.yaml"
    assert model_in(config, HUB_ID) == HUB_ID
    assert model_in(config, "clip") == "clip"
    (tmp_path / "etc" / "clip").mkdir()
    assert model_in(config, "clip") == str(tmp_path / "etc" / "clip")
    assert ScorerSettings().model == "openai/clip-vit-large-patch14-336"


def test_on_the_command_line_a_relative_folder_counts_from_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ScorerSettings(model="./clip").model == str(tmp_path / "clip")


def test_a_home_of_nobody_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such user: ~nobody-of-that-name"):
        model_in(tmp_path / "watcher.yaml", "~nobody-of-that-name/clip")


def test_the_memory_that_a_model_needs_counts_its_weights_in_fp32(tmp_path: Path) -> None:
    folder = copy_of_clip(tmp_path / "clip")
    weights = (folder / "model.safetensors").stat().st_size
    change_json(folder / "config.json", dtype="float32")
    whole = find_checkpoint(str(folder)).memory()
    change_json(folder / "config.json", dtype="float16")
    assert find_checkpoint(str(folder)).memory() == whole + weights
    assert weights < whole < weights + 2 * 2**30


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_needs_half_the_room_whatever_weights_are_stored_in(dtype: Precision, tmp_path: Path) -> None:
    folder = copy_of_clip(tmp_path / "clip")
    stored, found = (folder / "model.safetensors").stat().st_size, find_checkpoint(str(folder))
    vision = vision_of(folder)
    assert vision is not None
    batch = activations(vision, 8) - activations(vision, 8, 2)
    assert batch > 0
    change_json(folder / "config.json", dtype="float32")
    assert found.memory(8) - found.memory(8, dtype) == stored - stored // 2 + batch
    change_json(folder / "config.json", dtype="float16")
    assert found.memory(8) - found.memory(8, dtype) == stored + batch
