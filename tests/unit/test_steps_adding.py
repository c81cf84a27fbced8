"""From the store to a tracker that can only add: what is new or revised, once; one that fails is left in peace."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tests.contract.test_trackers import PATIENCE
from tests.unit.test_steps_mirroring import LONG, Desk, files
from tests.wandb_files import curve, rows
from watcher.errors import StepError
from watcher.nouns import Evaluation, Run, Sample
from watcher.record import runs
from watcher.record.trackers import TensorBoard, WandB
from watcher.steps.mirroring import LONGEST, lowest_images


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, WandB(mode="offline"))
    yield made
    made.tracker.close()
    made.store.close()


def bring_up(desk: Desk) -> None:
    """Let passes come until the tracker has everything."""
    deadline = time.monotonic() + PATIENCE
    while not desk.step.idle(desk.now):
        desk.go(1.0)
        assert time.monotonic() < deadline, "waited in vain until all is shown"
        time.sleep(0.05)


def place(desk: Desk) -> Path:
    (found,) = (desk.state / "wandb").glob("[!.]*/*")
    return found


def mirrored(desk: Desk) -> list[tuple[int, int]]:
    query = "SELECT step, mirrors.revision FROM mirrors JOIN evaluations ON id = evaluation_id ORDER BY step, attempt"
    with desk.store.read() as db:
        return [(row[0], row[1]) for row in db.exec_driver_sql(query)]


def test_what_is_new_or_revised_is_added_once_and_noted(desk: Desk) -> None:
    run = desk.run("flux")
    for step in (200, 300):
        desk.close(run, step, 0.1)
    bring_up(desk)
    desk.close(run, 200, 0.5)
    desk.close(run, 100, 0.3)
    bring_up(desk)
    assert curve(place(desk)) == [(200, 0.1), (300, 0.1), (100, 0.3), (200, 0.5)]
    assert mirrored(desk) == [(100, 1), (200, 2), (300, 1)]


def test_a_run_that_went_back_adds_its_new_attempt_under_its_number(desk: Desk) -> None:
    run = desk.run("flux")
    for step in (100, 200):
        desk.close(run, step, 0.1)
    bring_up(desk)
    desk.supersede(run, 200)
    desk.close(run, 200, 0.7, attempt=2)
    bring_up(desk)
    assert [(row["step"], row["clip/mean"], row["watcher/attempt"]) for row in rows(place(desk))] == [
        (100, 0.1, 1),
        (200, 0.1, 1),
        (200, 0.7, 2),
    ]


def test_a_long_past_comes_in_several_sessions_and_whole(desk: Desk) -> None:
    run = desk.run("flux")
    for step in range(120):
        desk.close(run, step, 0.1)
    bring_up(desk)
    assert [step for step, _ in curve(place(desk))] == list(range(120))
    assert len(mirrored(desk)) == 120


def test_a_daemon_that_forgot_to_note_what_it_showed_notes_it_later_and_shows_it_once(desk: Desk) -> None:
    run = desk.run("flux")
    desk.close(run, 100, 0.1)
    bring_up(desk)
    with desk.store.change("forget") as db:
        db.exec_driver_sql("DELETE FROM mirrors")
    desk.go()
    assert mirrored(desk) == [(100, 1)]
    assert curve(place(desk)) == [(100, 0.1)]


def test_it_is_given_nothing_that_it_shows_already(tmp_path: Path) -> None:
    given: list[tuple[list[tuple[int, int]], int | None]] = []

    class Adding(TensorBoard):
        takes_back: ClassVar[bool] = False

        def write(self, place: str, found: Sequence[Evaluation], since: int | None, *_: object) -> Sequence[Evaluation]:
            given.append(([(one.step, one.revision) for one in found], since))
            return super().write(place, found, since)

    desk = Desk(tmp_path, Adding())
    run = desk.run("flux")
    for steps in ((200, 300), (100,), (200,)):
        for step in steps:
            desk.close(run, step, 0.1)
        desk.go()
    desk.go()
    desk.store.close()
    assert given == [([(200, 1), (300, 1)], None), ([(100, 1)], None), ([(200, 2)], None)]


def told(desk: Desk) -> Any:
    with desk.store.read() as db:
        return runs.all_facts(db).get("tracker:tensorboard")


def test_a_failure_that_lasts_is_tried_less_and_less_often_and_told_until_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(tmp_path)
    run: Run = desk.run("flux")
    (run.path / "logs" / "watcher").touch()  # a file where the folder should be
    desk.close(run, 100, 0.1)
    for _ in range(200):
        desk.go(10.0)
    waits = [float(text.split("again in ")[1].split(" ")[0]) for text in caplog.messages if "again in" in text]
    assert waits[:6] == [30, 60, 120, 240, 480, 600]
    assert told(desk)["state"] == "failing"
    assert "watcher" in told(desk)["reason"]
    (run.path / "logs" / "watcher").unlink()
    desk.go()
    assert len(files(run)) == 1
    assert told(desk) == {"state": "ok", "reason": ""}
    desk.store.close()


def test_what_only_the_user_can_mend_is_left_in_peace_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Locked(TensorBoard):
        def write(self, *_: object) -> Any:
            raise StepError("no key", permanent=True)

    desk = Desk(tmp_path, Locked())
    desk.close(desk.run("flux"), 100, 0.1)
    desk.go()
    desk.go(LONGEST / 2)
    desk.go(LONG)
    desk.store.close()
    assert [text for text in caplog.messages if "no key" in text] == [
        "run flux: tracker tensorboard: no key; trying again in 600 s"
    ] * 2


def test_the_lowest_image_stands_for_each_of_the_prompts_that_score_lowest() -> None:
    cosines = {"a": (0.3, 0.1), "b": (0.25, 0.05), "c": (0.12, 0.13), "blank": (0.0, 0.0), "lost": (0.01, 0.01)}
    found, scores = [], {}
    for key, pair in cosines.items():
        for index, cosine in enumerate(pair):
            number = len(found) + 1
            state = "undecodable" if key == "lost" else "scored"
            path = Path(f"{key}{index}.png")
            tile = (0, 0, index + 1, 1)
            found.append(
                Sample("r", 1, key, index, path, 1, 1.0, f"d{number}", f"prompt {key}", state, tile=tile, id=number)  # type: ignore[arg-type]
            )
            scores[number] = SimpleNamespace(cosine=cosine, health=["blank"] if key == "blank" else [])
    low = lowest_images(found, scores, 2)  # type: ignore[arg-type]
    assert [(one.prompt, one.cosine, one.path.name) for one in low] == [
        ("prompt c", 0.12, "c0.png"),
        ("prompt b", 0.05, "b1.png"),
    ]
    assert low[1].tile == (0, 0, 2, 1)
    assert low[1].digest == "d4"
