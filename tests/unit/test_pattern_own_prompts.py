"""Prompts that pictures bear themselves: in their files, as programs note them there, or in the text beside them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tests.worlds import World
from watcher.config import load_config, load_config_rules
from watcher.discover import FoundRun, Place, RunSettings
from watcher.discover.bearing import prompt_beside, prompt_in
from watcher.discover.pattern import Pattern
from watcher.notes import LONGEST, notes_in
from watcher.pictures import notes_of
from watcher.record import evaluations, runs, samples
from watcher.settle import Ready, SettleSettings, read_image
from watcher.steps.looking import RECENT
from watcher.view.check import check
from watcher.view.gather import Gathered, _add_run
from watcher.view.status import status

INFO = "a red (cat:1.2),\non a mat\nNegative prompt: blurry,\nugly\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"
EVERYDREAM = "ted bennet riding a bicycle\n negative prompt: blurry\n seed: 555"
RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22}]\n"


def png(path: Path, *, after: bool = False, **texts: str) -> Path:
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        if after:  # Pillow's own way to write a text there
            info.add(b"tEXt", name.encode() + b"\0" + text.encode("latin-1"), after_idat=True)
        else:
            info.add_text(name, text)
    Image.new("RGB", (4, 4), (len(texts), 9, 9)).save(path, pnginfo=info)
    return path


def with_comment(path: Path, comment: bytes) -> Path:
    """Save with a UserComment, as piexif does for the web UI."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    Image.new("RGB", (4, 4)).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (INFO, "a red (cat:1.2),\non a mat"),
        ("a cat\nSteps: 20, Sampler: Euler", "a cat"),
        ("Negative prompt: blurry\nSteps: 20", ""),
        ("a cat", "a cat"),
        ("a flight of stone Steps: 20 of them", "a flight of stone Steps: 20 of them"),
        (EVERYDREAM, "ted bennet riding a bicycle"),
        ("a plant\n seed: -1", "a plant"),
        ("the seed: of doubt", "the seed: of doubt"),
        ("a cat\nseed: of doubt", "a cat\nseed: of doubt"),
        ("{cat|dog} on a [mat]", "{cat|dog} on a [mat]"),
        ('{"3": {"class_type": "KSampler"}}', None),
        ('[{"prompt": "x"}]', None),
        ("", ""),
    ],
)
def test_the_prompt_is_what_comes_before_the_settings(text: str, prompt: str | None) -> None:
    assert prompt_in(text) == prompt


@given(st.text(), st.text())
def test_no_text_is_a_surprise_and_nothing_after_the_settings_is_ever_scored(before: str, after: str) -> None:
    found = prompt_in(f"{before}\nNegative prompt: {after}")
    assert found is None or found in before.replace("\0", " ")


@pytest.mark.parametrize("after", [False, True])
def test_the_notes_of_a_png_are_read_wherever_they_stand(tmp_path: Path, after: bool) -> None:
    path = png(tmp_path / "a.png", after=after, parameters=INFO, prompt="a cat", workflow="none of ours")
    ready = read_image(path, SettleSettings())
    assert isinstance(ready, Ready)
    assert ready.notes == notes_of(path) == {"parameters": INFO, "prompt": "a cat"}
    assert notes_of(png(tmp_path / "b.png", prompt="ein Kätzchen 猫")) == {"prompt": "ein Kätzchen 猫"}
    assert notes_of(png(tmp_path / "c.png")) == {}


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (b"UNICODE\0" + "a Kätzchen".encode("utf-16-be"), "a Kätzchen"),
        (b"UNICODE\0" + "a Kätzchen".encode("utf-16-le"), "a Kätzchen"),
        (b"UNICODE\0" + "\ufeff猫".encode("utf-16-le"), "猫"),
        (b"ASCII\0\0\0a cat\0", "a cat"),
        (b"\0\0\0\0\0\0\0\0a cat", "a cat"),
    ],
)
def test_the_comment_of_other_pictures_is_read_in_every_order_of_bytes(
    tmp_path: Path, suffix: str, comment: bytes, text: str
) -> None:
    assert notes_of(with_comment(tmp_path / f"a.{suffix}", comment)) == {"parameters": text}


@given(st.binary(max_size=60))
def test_no_comment_is_a_surprise(comment: bytes) -> None:
    image = Image.new("RGB", (1, 1))
    image.getexif().get_ifd(0x8769)[0x9286] = comment
    image.info["exif"] = b"there is one"
    for text in notes_in(image).values():
        assert text.encode().decode() == text


def test_what_is_huge_or_broken_is_no_prompt_and_the_picture_is_scored_all_the_same(tmp_path: Path) -> None:
    huge = "x" * (LONGEST + 1)
    found = read_image(png(tmp_path / "a.png", parameters=huge, prompt="a cat"), SettleSettings())
    assert isinstance(found, Ready)
    assert found.notes == {"prompt": "a cat"}
    assert notes_of(with_comment(tmp_path / "a.jpg", b"JIS\0\0\0\0\0" + b"\x1b$B")) == {}
    whole = with_comment(tmp_path / "b.jpg", b"ASCII\0\0\0a cat").read_bytes()
    at = whole.index(b"MM\0*") + 4
    (tmp_path / "b.jpg").write_bytes(whole[:at] + struct.pack(">I", 2**31) + whole[at + 4 :])
    broken = read_image(tmp_path / "b.jpg", SettleSettings())
    assert isinstance(broken, Ready)
    assert broken.notes == {}


@pytest.mark.parametrize(
    ("data", "prompt"),
    [
        (b"a cat\n", "a cat"),
        (EVERYDREAM.encode(), "ted bennet riding a bicycle"),
        ("\ufeffein Kätzchen".encode("utf-16-le"), "ein Kätzchen"),
        (b"\n negative prompt: x", ""),
        (b"", None),
        (b"\xff\xfe\xfa", None),
        (b"a" * (LONGEST + 1), None),
        (None, None),
    ],
)
def test_a_text_beside_a_picture_is_its_prompt_once_there_is_something_in_it(
    tmp_path: Path, data: bytes | None, prompt: str | None
) -> None:
    if data is not None:
        (tmp_path / "a.txt").write_bytes(data)
    assert prompt_beside(tmp_path / "a.png") == prompt


def test_the_file_comes_before_the_text_beside_it_and_a_prompt_file_of_the_run_before_both(tmp_path: Path) -> None:
    layout = Pattern(regex=r"(?P<step>\d)", sidecars=True, text="parameters")
    (tmp_path / "1.txt").write_text("a dog")
    path, notes = tmp_path / "1.png", {"parameters": "a cat", "prompt": "a cow"}
    assert layout.own_prompt(Place(tmp_path), path, notes) == "a cat"
    assert layout.own_prompt(Place(tmp_path), path, {"prompt": "a cow"}) == "a dog"
    assert layout.own_prompt(Place(tmp_path, prompts=tmp_path / "p.txt"), path, notes) is None
    assert Pattern(regex=r"(?P<step>\d)").own_prompt(Place(tmp_path), path, notes) is None


class Bearing(World):
    """Pictures that bear their prompts."""

    def __init__(self, folder: Path, **own: Any) -> None:
        pattern = {"regex": r"samples/(?P<step>\d+)_(?P<key>\w+)\.png", **own}
        super().__init__(folder, RULES, runs=[{"path": "run", "layout": {"pattern": pattern}}])
        self.go()

    def add(self, name: str, beside: str | None = None, **texts: str) -> Path:
        path = png(self.run / f"samples/{name}.png", cosine="0.3", **texts)
        if beside is not None:
            path.with_suffix(".txt").write_text(beside)
        return path

    def known(self) -> dict[str, str]:
        """Give what became of every picture by its name: its prompt, or why it has none."""
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            found = [one for e in evaluations.of_run(db, run.id) for one in samples.in_evaluation(db, e.id)]
        return {one.path.stem: one.reason or f"{one.state}: {one.prompt}" for one in found}


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[Bearing] = []
    yield lambda **own: made.append(Bearing(tmp_path, **own)) or made[0]
    made[0].end()


def test_every_picture_is_scored_by_the_prompt_in_it_whatever_others_of_its_key_say(make: Any) -> None:
    world = make(text="parameters")
    world.add("1_a", parameters=INFO)
    world.add("2_a", parameters="another thing\nSteps: 20")
    world.add("2_b", parameters="Negative prompt: blurry")
    world.add("2_c")
    world.go(5)
    world.go(200)
    assert world.known() == {
        "1_a": "scored: a red (cat:1.2),\non a mat",
        "2_a": "scored: another thing",
        "2_b": "empty prompt",
        "2_c": "no prompt",
    }


def test_a_text_that_comes_after_its_picture_is_found_by_the_next_look_and_after_a_restart(make: Any) -> None:
    world = make(sidecars=True)
    paths = {name: world.add(name) for name in ("1_a", "1_b", "1_c")}
    paths["1_b"].with_suffix(".txt").touch()  # just made, and not written yet
    world.go(5)
    assert set(world.known().values()) == {"no prompt"}
    paths["1_a"].with_suffix(".txt").write_text(EVERYDREAM)
    world.go(5)
    assert world.known()["1_a"] == "scored: ted bennet riding a bicycle"
    world.end()
    paths["1_b"].with_suffix(".txt").write_text("a boat")
    world.start()
    world.tick()
    assert not world.pipeline.intake.idle(world.now)  # `run --once` must not end before it has asked
    world.go(5)
    assert world.known() == {
        "1_a": "scored: ted bennet riding a bicycle",
        "1_b": "scored: a boat",
        "1_c": "no prompt",
    }


def test_prompts_by_key_count_for_pictures_that_bear_none(make: Any) -> None:
    world = make(sidecars=True, prompts_file="prompts.json")
    world.add("1_a", beside="its own")
    world.add("1_b")
    world.go(5)
    assert world.known() == {"1_a": "scored: its own", "1_b": "scored: a thing"}


class Counting(Pattern):
    """Notes what it is asked for."""

    def own_prompt(self, place: Place, path: Path, notes: Mapping[str, str]) -> str | None:
        ASKED.append(path)
        return super().own_prompt(place, path, notes)


ASKED: list[Path] = []


def test_of_very_many_pictures_without_a_text_a_share_is_asked_at_each_look_and_all_in_turn(make: Any) -> None:
    world = make(sidecars=True)
    world.add("1_a")
    world.go(5)
    (watched,) = world.pipeline.intake.watched.values()
    others = [world.run / f"samples/{number}.png" for number in range(3 * RECENT)]
    watched.lacking = [*others, *watched.lacking]
    watched.layout = Counting.model_validate(watched.layout.model_dump())
    for look in range(1, 5):
        ASKED.clear()
        world.now += 10
        world.tick()
        assert len(ASKED) <= RECENT, look
        watched.lacking = [path for path in watched.lacking if path not in ASKED]
    assert not watched.lacking


def test_what_is_scored_at_once_is_scored_by_the_same_prompts(tmp_path: Path) -> None:
    layout = Pattern(regex=r"(?P<step>\d)_(?P<key>\w)\.png", text="parameters", sidecars=True)
    png(tmp_path / "1_a.png", parameters=INFO)
    png(tmp_path / "1_b.png").with_suffix(".txt").write_text(EVERYDREAM)
    (tmp_path / "1_c.png").write_bytes(b"torn")
    found = Gathered()
    _add_run(found, FoundRun("id", "run", tmp_path, layout, "", RunSettings(path=str(tmp_path))), layout, given=False)
    assert {one.key: one.prompt for one in found.pictures} == {
        "a": "a red (cat:1.2),\non a mat",
        "b": "ted bennet riding a bicycle",
        "c": None,
    }


def test_check_and_status_say_where_prompts_are(make: Any) -> None:
    world = make(sidecars=True, text="prompt")
    config = load_config(world.folder / "watcher.yaml")
    said = "\n".join(check(config, load_config_rules(config)))
    assert "    prompts in the text `prompt` of each picture or the .txt file beside each picture\n" in said
    assert status(world.store, world.now)["problems"] == {}
