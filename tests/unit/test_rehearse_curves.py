"""Curves of event files as trainers leave them: nested, resumed, written anew, torn, with other names and scales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard import SummaryWriter

from watcher.errors import StepError
from watcher.judge import Rule
from watcher.nouns import Evaluation, Run, Setup
from watcher.record.tensorboard import TensorBoard
from watcher.rehearse.curves import read_folders
from watcher.rehearse.past import Charts, charted

RULE = Rule.model_validate({"name": "low", "when": "clip/mean < 0.22"})


def write(folder: Path, values: dict[int, float], tag: str = "clip/mean", at: float = 1000.0, **more: Any) -> Path:
    """Write a file of one tag, a value an hour; gives the file."""
    before = set(folder.glob("*")) if folder.exists() else set()
    with SummaryWriter(str(folder), **more) as writer:
        for number, (step, value) in enumerate(values.items()):
            writer.add_scalar(tag, value, step, walltime=at + 3600 * number)
    (file,) = set(folder.glob("*")) - before
    return file.rename(folder / f"events.out.tfevents.{int(at):010d}.{len(before)}")


def curve(folder: Path, tag: str = "clip/mean") -> dict[int, tuple[float, int]]:
    (found,) = read_folders([folder], {tag})
    return {step: (round(one.value, 4), one.attempt) for step, one in found.curves[tag].values.items()}


def test_every_folder_with_event_files_is_a_run_named_by_where_the_search_began(tmp_path: Path) -> None:
    for name in ("a/lora/tb", "a/full", "b"):
        write(tmp_path / name, {0: 0.1})
    assert [one.name for one in read_folders([tmp_path], set())] == ["a/full", "a/lora/tb", "b"]
    assert [one.name for one in read_folders([tmp_path / "a", tmp_path / "b"], set())] == ["a/full", "a/lora/tb", "b"]
    assert [one.name for one in read_folders([tmp_path / "b"], set())] == ["b"]


def test_of_a_resumed_run_the_later_file_counts_from_where_it_begins(tmp_path: Path) -> None:
    write(tmp_path, {0: 0.1, 100: 0.2, 200: 0.3})
    write(tmp_path, {100: 0.4, 200: 0.5}, at=50_000.0)
    assert curve(tmp_path) == {0: (0.1, 1), 100: (0.4, 2), 200: (0.5, 2)}


def test_a_resume_that_says_where_it_begins_is_believed(tmp_path: Path) -> None:
    write(tmp_path, {0: 0.1, 100: 0.2, 200: 0.3})
    write(tmp_path, {300: 0.4}, at=50_000.0, purge_step=150)
    assert curve(tmp_path) == {0: (0.1, 1), 100: (0.2, 1), 300: (0.4, 2)}


def test_a_file_that_goes_on_is_the_same_attempt(tmp_path: Path) -> None:
    write(tmp_path, {0: 0.1, 100: 0.2})
    write(tmp_path, {200: 0.3}, at=50_000.0)
    assert curve(tmp_path) == {0: (0.1, 1), 100: (0.2, 1), 200: (0.3, 1)}


def test_what_the_watcher_itself_has_drawn_anew_is_no_new_attempt(tmp_path: Path) -> None:
    run, place = Run("id", "run", tmp_path, "pattern"), ""
    for mean in (0.1, 0.2):
        tracker = TensorBoard(beside_trainer=False)
        place = tracker.place(run, Setup(), tmp_path)
        tracker.write(place, [evaluation(step, mean) for step in (0, 100, 200)], None)
        tracker.write(place, [evaluation(step, mean + 0.01) for step in (100, 200)], 100)
    assert curve(Path(place)) == {0: (0.2, 1), 100: (0.21, 1), 200: (0.21, 1)}


def evaluation(step: int, mean: float) -> Evaluation:
    at = 1000.0 + step
    return Evaluation(step, "id", 1, step, "", "closed", False, True, at, at, metrics={"clip/mean": mean})


def test_two_writers_at_the_same_time_are_not_mixed_and_named(tmp_path: Path) -> None:
    write(tmp_path, {0: 0.1, 100: 0.2, 200: 0.3})
    write(tmp_path, {0: 0.4, 100: 0.5}, at=1100.0)
    assert curve(tmp_path) == {0: (0.1, 1), 100: (0.2, 1), 200: (0.3, 1)}
    (found,) = read_folders([tmp_path], {"clip/mean"})
    assert found.problems == [
        f"{tmp_path}: files overlap in time (clip/mean): several runs? the later one is left out",
    ]


def test_a_broken_file_gives_what_comes_before_and_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, {0: 0.1, 100: 0.2, 200: 0.3})
    data = file.read_bytes()
    file.write_bytes(data[:-40] + b"x" * 40)
    (tmp_path / "events.out.tfevents.0000000001.garbage").write_bytes(b"hello" * 99)
    (found,) = read_folders([tmp_path], {"clip/mean"})
    assert list(found.curves["clip/mean"].values) == [0, 100]
    assert [problem.partition(": ")[0] for problem in found.problems] == [
        str(tmp_path / "events.out.tfevents.0000000001.garbage"),
        str(file),
    ]


def test_what_is_no_folder_or_has_no_event_file_is_said(tmp_path: Path) -> None:
    for place, what in ((tmp_path / "nope", "no such folder"), (tmp_path, "no event file")):
        with pytest.raises(StepError, match=what):
            list(read_folders([place], set()))


def charts(folder: Path, **given: Any) -> Any:
    (run,) = charted([folder], Charts(**given), [RULE])
    return run


def test_a_metric_without_its_tag_is_named_with_the_tags_that_look_like_it(tmp_path: Path) -> None:
    write(tmp_path, {0: 0.1}, tag="eval/clip_score")
    write(tmp_path, {0: 0.1}, tag="train_loss", at=2000.0)
    assert charts(tmp_path).lacks(RULE) == (
        "no tag `clip/mean` in it; it has eval/clip_score, train_loss: try `--tag clip/mean=eval/clip_score`"
    )
    run = charts(tmp_path, tags={"clip/mean": ["x", "eval/clip_score"]})
    assert run.lacks(RULE) == ""
    assert [point.metrics["clip/mean"] for point in run.points(RULE)] == pytest.approx([0.1])


def test_charts_of_100_times_the_cosine_are_refused_with_the_way_out_and_read_with_it(tmp_path: Path) -> None:
    write(tmp_path, {0: 18.0, 100: 22.5})
    assert "goes to 22.5" in charts(tmp_path).lacks(RULE)
    assert "`--scale 0.01`" in charts(tmp_path).lacks(RULE)
    run = charts(tmp_path, scale=0.01)
    assert (run.lacks(RULE), run.folder.problems) == ("", [])
    assert [point.metrics["clip/mean"] for point in run.points(RULE)] == pytest.approx([0.18, 0.225])


def test_what_is_a_cosine_already_is_not_scaled_and_said(tmp_path: Path) -> None:
    write(tmp_path, {0: 0.18, 100: 0.3})
    run = charts(tmp_path, scale=0.01)
    assert [point.metrics["clip/mean"] for point in run.points(RULE)] == pytest.approx([0.18, 0.3])
    assert "--scale 0.01 is not applied" in run.folder.problems[0]


def test_a_rule_on_a_trainers_numbers_sees_windows_of_them_under_the_names_that_trainers_give_them(
    tmp_path: Path,
) -> None:
    spike = Rule.model_validate({"name": "spike", "when": {"any": ["trainer/loss > 1", "trainer/raw/gpu/temp > 90"]}})
    write(tmp_path, {0: 1.0, 50: 2.0, 60: 3.0, 90: 4.0, 95: 9.0, 110: 5.0}, tag="loss/current")
    write(tmp_path, {85: 95.0}, tag="gpu/temp", at=3000.0)
    write(tmp_path, {90: 0.2, 190: 0.2}, at=5000.0)  # evaluations are nothing to it
    (run,) = charted([tmp_path], Charts(), [spike])
    assert [(point.step, dict(point.metrics)) for point in run.points(spike)] == [(50, {"trainer/loss": 1.5})]
    alone = Rule.model_validate({"name": "alone", "when": "trainer/loss > 1", "every": "20 steps"})
    (run,) = charted([tmp_path], Charts(), [alone])
    found = [(point.step, point.metrics["trainer/loss"]) for point in run.points(alone)]
    assert (run.lacks(alone), found) == ("", [(0, 1.0), (60, 2.5), (95, 6.5)])
    slow = Rule.model_validate({"name": "slow", "when": "trainer/loss > 1", "every": "500 steps"})
    (run,) = charted([tmp_path], Charts(), [slow])
    assert run.lacks(slow) == "no window of 500 steps is over in it"


def test_a_mixed_rule_gets_the_last_number_of_the_trainers_since_the_evaluation_before(tmp_path: Path) -> None:
    mixed = Rule.model_validate({"name": "mixed", "when": {"all": ["trainer/loss > 1", "clip/mean < 0.3"]}})
    write(tmp_path, {0: 1.0, 50: 2.0, 100: 3.0, 110: 4.0, 400: 5.0}, tag="loss/current")
    write(tmp_path, {90: 0.2, 190: 0.2, 290: 0.2}, at=2000.0)
    (run,) = charted([tmp_path], Charts(), [mixed])
    found = [(point.step, point.metrics.get("trainer/loss")) for point in run.points(mixed)]
    assert found == [(90, 2.0), (190, 4.0), (290, None)]


def test_what_looks_at_the_clock_cannot_be_tried(tmp_path: Path) -> None:
    silent = Rule.model_validate({"name": "silent", "when": {"silent": "2h"}})
    write(tmp_path, {0: 0.1})
    (run,) = charted([tmp_path], Charts(), [silent])
    assert "clock" in run.lacks(silent)


def test_an_assumed_standard_error_lets_confidence_judge_and_prompts_satisfy_needs(tmp_path: Path) -> None:
    rule = {"name": "sure", "when": {"metric": "clip/mean", "below": 0.22, "confidence": 0.9}, "then": "stop"}
    sure = Rule.model_validate({**rule, "needs": {"prompts": 16}})
    write(tmp_path, {0: 0.18})
    (bare,) = charted([tmp_path], Charts(), [sure])
    assert list(bare.points(sure)[0].metrics) == ["clip/mean"]
    assert "--assume-stderr" in bare.hint(sure)
    (run,) = charted([tmp_path], Charts(stderr=0.01), [sure])
    assert run.hint(sure) == ""
    found = run.points(sure)[0].metrics
    assert (found["clip/stderr"], found["clip/prompts"]) == (0.01, 16.0)
