"""`watcher model fetch` against a hub on this machine: what scoring needs, once, also after a cut; then it scores."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Answer, alone
from tests.hub import COMMIT, OTHER, Hub, folder_files
from watcher.demo.stage import CLIP
from watcher.demo.world import draw, validation_scenes

NAME = "tiny/clip-vit"
EXTRAS = {
    "README.md": b"# a model",
    "pytorch_model.bin": b"the same weights again",
    "tf_model.h5": b"and again",
    "flax_model.msgpack": b"and again",
    "model.fp16.safetensors": b"and half of them",
    "onnx/model.onnx": b"and again",
}


CHUNK = 10 * 2**20
"""Bytes that huggingface_hub writes at once: a cut loses what came after the last of them."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(NAME, {**folder_files(CLIP), **EXTRAS}) as hub:
        yield hub


@pytest.fixture
def large(hub: Hub) -> Hub:
    """The same model with weights of more than one chunk, cut off after one and a half."""
    from safetensors.torch import load, save
    from torch import zeros

    weights = load(hub.files["model.safetensors"])
    hub.files["model.safetensors"] = save({**weights, "unused": zeros(2 * CHUNK // 4)}, {"format": "pt"})
    hub.cut, hub.cuts = 3 * CHUNK // 2, 1
    return hub


def ranges(hub: Hub) -> list[str]:
    """Give from where on the weights were asked for, each time."""
    return [asked for method, path, asked in hub.heard if path.endswith("/model.safetensors") and method == "GET"]


class User:
    """Somebody with an empty cache of models."""

    def __init__(self, home: Path, hub: Hub) -> None:
        self.home = home
        self.environment = {
            "HOME": str(home),
            "HF_HOME": str(home / "hf"),
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_TOKEN": "",
        }

    def __call__(self, *words: object, **more: str) -> Answer:
        return alone(*words, environment={**self.environment, **more})

    def fetch(self, *words: object, **more: str) -> Answer:
        return self("model", "fetch", *words, **more)

    def cached(self) -> set[str]:
        return {path.name for path in self.home.rglob("snapshots/*/*")}


@pytest.fixture
def user(tmp_path: Path, hub: Hub) -> User:
    return User(tmp_path, hub)


def scored(user: User, model: str) -> Answer:
    """Score a picture without any network."""
    folder = user.home / "pictures"
    folder.mkdir(exist_ok=True)
    draw(validation_scenes()[0], random.Random(1)).save(folder / "one.png")
    (folder / "one.txt").write_text(validation_scenes()[0].caption)
    return user("score", folder, "--model", model, "--json", HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")


@pytest.mark.slow
def test_only_what_scoring_needs_is_fetched_once_and_then_it_scores_without_network(user: User, hub: Hub) -> None:
    answer = user.fetch(NAME)
    assert answer.status == 0, answer.err
    assert f"loads as {NAME}@" in answer.out
    assert f"it is in {user.home}/hf/hub/" in answer.out
    wanted = {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert user.cached() == hub.fetched() == wanted
    offline = scored(user, NAME)
    assert offline.status == 0, offline.err
    assert offline.json["summary"]["clip/mean"] > 0.5
    assert offline.json["identity"].startswith(f"{NAME}@")
    hub.heard.clear()
    again = user.fetch(NAME)
    assert again.status == 0
    assert f"{NAME} is there already: {user.home}/hf/hub/" in again.out
    assert hub.heard == []


def test_a_part_that_is_torn_is_fetched_anew(user: User, large: Hub) -> None:
    large.away_after_cut = True
    assert user.fetch(NAME).status == 1
    (partial,) = user.home.rglob("*.partial")
    partial.write_bytes(b"x" * partial.stat().st_size)
    large.away_after_cut = False
    answer = user.fetch(NAME)
    assert answer.status == 0, answer.err
    assert not list(user.home.rglob("*.partial"))


@pytest.mark.slow
def test_pickled_weights_are_taken_where_there_are_no_others(user: User, hub: Hub) -> None:
    from safetensors.torch import load
    from torch import save

    with (user.home / "weights.bin").open("wb") as file:
        save(load(hub.files.pop("model.safetensors")), file)
    hub.files["pytorch_model.bin"] = (user.home / "weights.bin").read_bytes()
    answer = user.fetch(NAME)
    assert answer.status == 0, answer.err
    assert "pytorch_model.bin" in hub.fetched()
    assert scored(user, NAME).status == 0


def test_a_connection_that_breaks_once_costs_nothing_that_is_there(user: User, large: Hub) -> None:
    assert user.fetch(NAME).status == 0
    assert ranges(large) == ["", f"bytes={CHUNK}-"]


@pytest.mark.slow
def test_a_hub_that_stays_away_half_way_fails_and_the_next_try_goes_on(user: User, large: Hub) -> None:
    large.away_after_cut = True
    answer = user.fetch(NAME)
    assert answer.status == 1
    assert f"model {NAME} cannot be fetched" in answer.err
    assert "run the command again (it goes on where it was cut off)" in answer.err
    assert "Traceback" not in answer.err
    told = scored(user, NAME)
    assert told.status == 1
    assert f"`watcher model fetch {NAME}`" in told.err
    large.away_after_cut = False
    large.heard.clear()
    assert user.fetch(NAME).status == 0
    assert ranges(large) == [f"bytes={CHUNK}-"]
    assert scored(user, NAME).status == 0


def test_without_a_name_it_is_the_models_of_the_configuration(user: User, hub: Hub) -> None:
    config = user.home / "watcher.yaml"
    secret = [{"slack": {"url": "${NO_SUCH_SECRET}"}}]
    scorers = {"clip": {"model": NAME}, "own": {"model": str(CLIP)}, "older": {"model": f"{NAME}@v1"}}
    config.write_text(json.dumps({"runs": [{"path": "x"}], "scorers": scorers, "notify": secret}))
    answer = user.fetch("-c", config)
    assert answer.status == 0, answer.err
    assert answer.out.count(f"loads as {NAME}@") == 2
    assert COMMIT in answer.out
    assert OTHER in answer.out
    unclear = user.fetch("-c", config, "--revision", "v1")
    assert unclear.status == 2
    assert f"say of which model: {NAME}, {NAME}@v1" in " ".join(unclear.err.split())


@pytest.mark.slow
def test_a_revision_is_fetched_and_used_under_its_name(user: User, hub: Hub) -> None:
    answer = user.fetch(NAME, "--revision", "v1")
    assert answer.status == 0, answer.err
    assert OTHER in answer.out
    assert f"`model: {NAME}@v1`" in answer.out
    assert scored(user, f"{NAME}@v1").status == 0
    assert scored(user, NAME).status == 1
    assert COMMIT in user.fetch(NAME).out


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((401, ""), "401"),
        ((403, "GatedRepo"), f"is gated: accept its conditions at http://127.0.0.1:PORT/{NAME}, give your token"),
        ((401, "RepoNotFound"), "is not at http://127.0.0.1:PORT, or is private"),
        ((404, "RevisionNotFound"), "has no revision None"),
        ((500, ""), "answers 500; try again later"),
    ],
)
def test_a_refusal_says_why_and_the_way_out(user: User, hub: Hub, refusal: tuple[int, str], said: str) -> None:
    hub.refusal = refusal
    answer = user.fetch(NAME)
    assert (answer.status, answer.out) == (1, "")
    assert said.replace("PORT", hub.url.rpartition(":")[2]) in answer.err
    assert answer.err.count("\n") == 1
    assert user.cached() == set()


def test_a_misspelt_name_gets_the_nearest_that_is_known(user: User) -> None:
    answer = user.fetch("openai/clip-vit-base-patch-32")
    assert answer.status == 1
    assert "did you mean openai/clip-vit-base-patch32?" in answer.err


def test_a_revision_that_is_not_there_is_named(user: User) -> None:
    answer = user.fetch(NAME, "--revision", "v7")
    assert answer.status == 1
    assert "has no revision 'v7'; leave it out" in answer.err


def test_without_a_network_the_ways_round_it_are_told(user: User) -> None:
    answer = user.fetch(NAME, HF_ENDPOINT="http://127.0.0.1:9")
    assert answer.status == 1
    assert "cannot be fetched from http://127.0.0.1:9: " in answer.err
    assert "copy the model's folder here" in answer.err
    offline = user.fetch(NAME, HF_HUB_OFFLINE="1")
    assert offline.status == 1
    assert "HF_HUB_OFFLINE is set" in offline.err


def test_another_kind_of_model_is_refused_before_its_weights_are_fetched(user: User, hub: Hub) -> None:
    hub.files["config.json"] = json.dumps({"model_type": "bert"}).encode()
    answer = user.fetch(NAME)
    assert answer.status == 1
    assert f"model {NAME} is of type bert, none that scores" in answer.err
    assert hub.fetched() == set()


def test_a_model_that_does_not_load_is_told_after_it_was_fetched(user: User, hub: Hub) -> None:
    weights = hub.files["model.safetensors"]
    hub.files["model.safetensors"] = weights[: len(weights) // 2]
    answer = user.fetch(NAME)
    assert answer.status == 1
    assert "it is in" not in answer.out
    assert f"model {NAME} (cached in " in answer.err


@pytest.mark.parametrize("name", ["./nothing", "a/b/c", "with space", str(CLIP)])
def test_what_is_no_hub_id_is_wrong_usage(user: User, name: str) -> None:
    answer = user.fetch(name)
    assert (answer.status, answer.out) == (2, "")
    assert "give a hub id such as openai/clip-vit-base-patch32" in answer.err


def test_a_disk_that_is_too_full_is_told_before_anything_is_fetched(user: User, hub: Hub) -> None:
    free = os.statvfs(user.home)
    hub.sizes = {"model.safetensors": 2 * free.f_bavail * free.f_frsize}
    answer = user.fetch(NAME)
    assert answer.status == 1
    assert "make room, or set HF_HOME to a folder on a larger disk" in answer.err
    assert hub.fetched() == set()
