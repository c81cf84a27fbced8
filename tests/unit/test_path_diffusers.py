"""Event files of a script of diffusers through the whole path: as they grow, torn, and after a restart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, PngImagePlugin
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from tests.diffusers_logs import WITHIN, put_prompts
from tests.worlds import World
from watcher.record import evaluations, runs
from watcher.view.status import status

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.22, needs: {prompts: 1}}]\n"


class Output(World):
    """An `--output_dir`, watched with `layout: auto`; a picture's cosine is that of all its tiles."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, RULES)
        self.end()
        settings = yaml.safe_load((folder / "watcher.yaml").read_text())
        (folder / "watcher.yaml").write_text(yaml.safe_dump({**settings, "runs": [{"path": "out/run"}]}))
        self.logs = folder / "out" / "run" / "logs" / "dreambooth"
        self.logs.mkdir(parents=True)
        self.start()

    def begin(self, **settings: Any) -> None:
        """Start the script: another event file, and what it notes."""
        self.now += 60
        self.file = self.logs / f"events.out.tfevents.{int(self.now)}.box.1.0"
        self.file.touch()
        noted = self.logs / f"{self.now + 0.5:.3f}" / "hparams.yml"
        noted.parent.mkdir()
        noted.write_text(yaml.dump({**WITHIN, **settings}))
        self.now += 2

    def validate(self, step: int, cosine: float = 0.3, tiles: int = 4) -> None:
        """Log a validation and the scalars after it, and let it be seen."""
        self.now += 60
        self.append(self.picture(step, cosine, tiles), step)
        self.append(Summary.Value(tag="loss", simple_value=0.1), step, later=0.5)
        self.go()

    def picture(self, step: int, cosine: float, tiles: int) -> Summary.Value:
        text, data = PngImagePlugin.PngInfo(), io.BytesIO()
        text.add_text("cosine", str(cosine))
        Image.new("RGB", (8 * tiles, 8), (int(self.now) % 251, step % 251, 9)).save(data, "PNG", pnginfo=text)
        image = Summary.Image(height=8, width=8 * tiles, colorspace=3, encoded_image_string=data.getvalue())
        return Summary.Value(tag="validation", image=image)

    def append(self, value: Summary.Value, step: int, later: float = 0.0) -> None:
        event = Event(wall_time=self.now - 5 + later, step=step, summary=Summary(value=[value]))
        with self.file.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())

    def story(self) -> list[tuple[int, int, str, bool]]:
        """Give attempt, step, state and wholeness of every evaluation that counts."""
        with self.store.read() as db:
            (run,) = runs.all_runs(db)
            found = evaluations.of_run(db, run.id)
        return [(one.attempt, one.step, one.state, one.complete) for one in found if one.state != "superseded"]

    def status(self) -> dict[str, Any]:
        (run,) = status(self.store, self.now)["runs"]
        assert isinstance(run, dict)
        return run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Output]:
    made = Output(tmp_path)
    yield made
    made.end()


def test_a_growing_event_file_gives_each_validation_once_with_its_tiles(world: Output) -> None:
    world.begin()
    world.go()
    assert (world.status()["layout"], world.status()["images"]) == ("diffusers", 0)
    for step in (100, 200):
        world.validate(step)
    world.validate(300, cosine=0.1)
    assert world.story() == [(1, step, "closed", True) for step in (100, 200, 300)]
    assert (world.status()["metrics"]["clip/images"], world.status()["metrics"]["clip/prompts"]) == (4, 1)
    assert [title for kind, title in world.notices() if kind == "alert"]
    asked = len(world.scorer.asked)
    world.restart()
    world.go(60)
    assert len(world.scorer.asked) == asked == 3 * 4


def test_a_torn_record_waits_for_its_end(world: Output) -> None:
    world.begin()
    world.validate(100)
    world.now += 60
    whole = world.file.read_bytes()
    world.append(world.picture(200, 0.4, 4), 200)
    data = world.file.read_bytes()
    world.file.write_bytes(data[:-9])
    world.go(60)
    assert world.story() == [(1, 100, "closed", True)]
    assert len(whole) < len(data) - 9
    world.file.write_bytes(data)
    world.go(60)
    assert world.story() == [(1, 100, "closed", True), (1, 200, "closed", True)]


def test_a_script_that_goes_on_from_a_checkpoint_begins_another_attempt(world: Output) -> None:
    world.begin()
    for step in (100, 200, 300):
        world.validate(step)
    world.begin()
    world.validate(200, cosine=0.4)
    assert world.story() == [(1, 100, "closed", True), (2, 200, "closed", True)]
    assert world.status()["metrics"]["clip/mean"] == pytest.approx(0.4)


def test_a_start_with_another_prompt_and_number_of_pictures_is_cut_by_its_own(world: Output) -> None:
    world.begin()
    world.validate(100)
    world.begin(validation_prompt="a dog", num_validation_images=2)
    world.validate(200, tiles=2)
    assert world.story() == [(1, 100, "closed", True), (1, 200, "closed", True)]
    assert sorted(world.scorer.prompts) == ["a cat"] * 4 + ["a dog"] * 2


def test_what_cannot_be_cut_is_unscorable_with_the_way_out(world: Output) -> None:
    world.begin(num_validation_images=3)
    world.validate(100, tiles=4)
    assert world.status()["unscorable"] == 1
    assert world.scorer.asked == []


def test_a_prompt_that_is_given_later_is_found(world: Output) -> None:
    world.begin(validation_prompt=None)
    world.validate(100)
    assert world.status()["unscorable"] == 4
    settings = yaml.safe_load((world.folder / "watcher.yaml").read_text())
    prompts = put_prompts(world.folder / "prompts.json", ["a cat"])
    settings["runs"][0]["prompts"] = str(prompts)
    (world.folder / "watcher.yaml").write_text(yaml.safe_dump(settings))
    world.restart()
    world.go(60)
    assert world.scorer.prompts == ["a cat"] * 4
