"""`watcher score` with prompts of its own: photographs with a table, single files, and everything that does not fit."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
from pathlib import Path

import pytest
import skimage
from PIL import Image

from tests.commands import Answer, alone, here
from tests.contract.rooms import ROOT
from watcher.demo.stage import CLIP
from watcher.demo.world import draw, scenes

PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
CAPTIONS = {
    "astronaut.png": "a portrait of an astronaut, smiling",
    "chelsea.png": "a tabby cat",
    "coffee.png": "a cup of coffee on a table",
    "rocket.jpg": "a rocket on its launch pad",
    "moon.png": "the surface of the moon",
    "motorcycle_left.png": "a motorcycle in a garage",
}
NUMBER = re.compile(r"-?\d\.\d{4}")
SCENES = scenes()[:3]


def score(*arguments: object) -> Answer:
    return here("score", *arguments, "--model", CLIP, "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures: `cat.png`, `dog.png`, and `sub/cat.jpg`."""
    place = tmp_path / "pictures"
    (place / "sub").mkdir(parents=True)
    for name, scene in zip(("cat.png", "dog.png", "sub/cat.jpg"), SCENES, strict=True):
        draw(scene, random.Random(1)).save(place / name)
    return place


def write(folder: Path, name: str, text: str) -> Path:
    (folder.parent / name).write_text(text)
    return folder.parent / name


def test_photographs_with_a_table_of_captions_give_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    for name in CAPTIONS:
        shutil.copy(PHOTOGRAPHS / name, tmp_path / "photos" / name)
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "caption"), *CAPTIONS.items()])
    page = (ROOT / "docs/commands.md").read_text()
    (shown,) = re.findall(r"^```text\n\$ (watcher score .*?)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "watcher").symlink_to(ROOT / "watcher")
    answer = here(*shown[0].split()[1:])
    assert (answer.status, answer.err) == (0, "")
    told, wanted = answer.out, shown[1]
    assert re.split(r"\s*-?\d\.\d{4}\s*", told) == re.split(r"\s*-?\d\.\d{4}\s*", wanted)
    for one, other in zip(NUMBER.findall(told), NUMBER.findall(wanted), strict=True):
        assert float(one) == pytest.approx(float(other), abs=1e-3)


def test_files_are_scored_one_by_one_and_beside_folders(folder: Path) -> None:
    for name, scene in zip(("cat", "dog", "sub/cat"), SCENES, strict=True):
        (folder / f"{name}.caption").write_text(scene.caption)
    whole = {image["path"]: image["cosine"] for image in score(folder, "--json").json["images"]}
    found = score(folder / "sub" / "cat.jpg", folder / "dog.png", "--json")
    assert found.status == 0
    assert {image["path"]: image["cosine"] for image in found.json["images"]} == {
        path: pytest.approx(cosine, abs=1e-5) for path, cosine in whole.items() if "/pictures/cat" not in path
    }
    assert [image["prompt_key"] for image in found.json["images"]] == ["dog", "sub/cat"]
    twice = score(folder / "sub", folder / "sub" / "cat.jpg", folder / "cat.png", "--json").json["images"]
    assert sorted(image["prompt_key"] for image in twice) == ["cat", "sub/cat"]


def test_pictures_of_one_prompt_are_one_prompt_in_the_means(folder: Path) -> None:
    prompts = write(folder, "p.csv", "file,prompt\ncat.png,a thing\ndog.png,a thing\nsub/cat.jpg,another\n")
    summary = score(folder, "--prompts", prompts, "--json").json["summary"]
    assert (summary["clip/prompts"], summary["clip/images"]) == (2, 3)


def test_what_could_not_be_scored_is_named_and_the_exit_status_says_so(folder: Path) -> None:
    (folder / "dog.png").write_bytes((folder / "dog.png").read_bytes()[:200])
    prompts = write(folder, "p.tsv", "file\tprompt\ncat.png\ta\ndog.png\tb\nfrog.png\tc\n")
    answer = score(folder, "--prompts", prompts)
    assert answer.status == 1
    lines = answer.err.splitlines()
    assert lines[0] == "watcher: 2 images of 3 could not be scored:"
    assert lines[1].startswith(f"  {folder / 'dog.png'}: not a readable image: ")
    assert lines[2] == f"  {folder / 'sub' / 'cat.jpg'}: no prompt"
    assert lines[3:5] == ["1 prompt fit no image:", f"  {prompts}:4: frog.png"]
    found = score(folder, "--prompts", prompts, "--json").json
    assert (found["failed"], found["unmatched"]) == (2, [f"{prompts}:4: frog.png"])
    assert [image["state"] for image in found["images"]] == ["scored", "undecodable", "unscorable"]


def test_a_long_list_of_what_could_not_be_scored_is_counted(tmp_path: Path) -> None:
    for number in range(30):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    lines = score(tmp_path).err.splitlines()
    assert len([line for line in lines if line.endswith(": no prompt")]) == 20
    assert "  and 10 more" in lines


def test_an_unclear_prompt_file_scores_nothing(folder: Path) -> None:
    prompts = write(folder, "p.csv", "file,prompt\nog,a\ncat.gif,b\nsub/cat.png,c\ncat.jpg,d\n")
    answer = score(folder, "--prompts", prompts)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith(f"{prompts}:5: another prompt for {folder / 'sub' / 'cat.jpg'}")
    answer = score(folder, "--prompts", write(folder, "p.txt", "a\nb\n"))
    assert (answer.status, answer.err.count("\n")) == (2, 1)
    assert "2 prompts for 3 pictures" in answer.err


def test_the_order_of_a_text_is_that_of_the_sorted_paths(folder: Path) -> None:
    found = score(folder, "--prompts", write(folder, "p.txt", "a\nb\nc\n"), "--json").json
    assert [(image["prompt_key"], image["prompt"]) for image in found["images"]] == [
        *(("cat", "a"), ("dog", "b"), ("sub/cat", "c"))
    ]


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_a_file_gets_everything_and_the_terminal_the_table(folder: Path, name: str) -> None:
    prompts = write(folder, "p.txt", "a\nb\nc\n")
    place = folder.parent / name
    answer = score(folder, "--prompts", prompts, "-o", place)
    assert (answer.status, answer.err) == (0, f"written: {place}\n")
    assert answer.out == score(folder, "--prompts", prompts).out
    form = "--csv" if name.endswith("csv") else "--json"
    assert place.read_text() == score(folder, "--prompts", prompts, form).out
    assert sorted(path.name for path in folder.parent.iterdir()) == sorted(["pictures", "p.txt", name])
    refused = score(folder, "--prompts", prompts, "-o", folder.parent / "out.md")
    assert refused.status == 2


def test_piped_it_shows_no_bar_and_options_reach_the_scorer(folder: Path) -> None:
    prompts = write(folder, "p.json", json.dumps(["a", "b", "c"]))
    more = ("--model", CLIP, "--device", "cpu", "--threads", "1", "--batch-size", "2", "--csv")
    answer = alone("score", folder, "--prompts", prompts, *more)
    assert (answer.status, answer.err) == (0, "")
    rows, others = (
        list(csv.DictReader(text.splitlines()))
        for text in (answer.out, score(folder, "--prompts", prompts, "--format", "csv").out)
    )
    for one, other in zip(rows, others, strict=True):
        assert float(one.pop("cosine")) == pytest.approx(float(other.pop("cosine")), abs=1e-5)
        assert one == other


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a folder or pictures to score, or --again RUN"),
        (["x", "--step", "3"], "--step belongs to --again RUN"),
        (["x", "--again", "y"], "leave x out"),
        (["notes.md"], "notes.md is no picture by its name"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.md").touch()
    answer = here("score", *arguments)
    assert answer.status == 2
    assert said in answer.err
