"""`watcher score` tells pictures that repeat others, and how well pictures fit their prompts."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from pathlib import Path

from tests.commands import here
from tests.service.daemons import Place
from watcher.demo.stage import CLIP
from watcher.demo.world import draw, validation_scenes


def test_a_picture_that_repeats_another_prompts_is_named_as_is_how_well_pictures_fit_their_prompts(
    tmp_path: Path,
) -> None:
    scenes = validation_scenes(4)
    for place, scene in enumerate(scenes):
        draw(scene, random.Random(place)).save(tmp_path / f"{scene.slug}.png")
        (tmp_path / f"{scene.slug}.txt").write_text(scene.caption)
    shutil.copy(tmp_path / f"{scenes[0].slug}.png", tmp_path / f"{scenes[1].slug}.png")
    answer = here("score", tmp_path, "--model", CLIP, "--json")
    marked = {one["prompt_key"]: one["duplicate_of"] for one in answer.json["images"] if "duplicate" in one["health"]}
    first, second = scenes[0].slug, scenes[1].slug
    assert marked == {first: f"prompt {second}", second: f"prompt {first}"}
    (found,) = answer.json["evaluations"]
    assert found["metrics"]["health/duplicate"] == 2
    assert found["metrics"]["clip/retrieval"] == 0.75
    assert 0 < found["metrics"]["clip/diversity"] < 1
    told = here("score", tmp_path, "--model", CLIP).out
    assert f"duplicate of prompt {second}" in told
    assert re.search(r"retrieval +diversity +prompts +images +duplicate\n", told)


def test_a_picture_of_the_step_before_is_named_with_its_step(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for step in (100, 200):
        place.write(step)
    frozen = sorted(place.images.glob("step_100_*"))[:3]
    for path in frozen:
        shutil.copy(path, path.with_name(path.name.replace("step_100_", "step_200_")))
    found = here("score", place.run, "--model", CLIP, "--json").json
    assert Counter(one["duplicate_of"] for one in found["images"] if one["step"] == 200)["step 100"] == len(frozen)
    assert not any(one["duplicate_of"] for one in found["images"] if one["step"] == 100)
