"""`watcher rules backtest`: one command for a folder that nobody prepared, and for recorded runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from torch.utils.tensorboard import SummaryWriter

from tests.commands import here
from tests.worlds import World

RULE = {"name": "low", "when": "clip/mean < 0.22", "after": "200 steps", "for": "2 evaluations", "then": "stop"}


def write(folder: Path, *values: float, tag: str = "clip/mean") -> None:
    with SummaryWriter(str(folder)) as writer:
        for number, value in enumerate(values):
            writer.add_scalar("train_loss", 0.1, 100 * number, walltime=1e9 + 3600 * number)
            writer.add_scalar(tag, value, 100 * number, walltime=1e9 + 3600 * number)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as years of training leave it."""
    folder = tmp_path_factory.mktemp("logs")
    write(folder / "2024" / "flux" / "tb", 0.2, 0.25, 0.26, 0.27)
    write(folder / "2024" / "bad", 0.18, 0.19, 0.2, 0.19, 0.18, 0.17)
    write(folder / "2025" / "slow", 0.18, 0.19, 0.2, 0.21, 0.24, 0.28)
    write(folder / "2025" / "percent", 18, 19, 20, 21)
    write(folder / "2025" / "named", 0.2, 0.2, 0.2, 0.2, tag="eval/clip_score")
    write(folder / "2025" / "loss", 0.1, tag="val_loss")
    (folder / "2025" / "broken").mkdir()
    (folder / "2025" / "broken" / "events.out.tfevents.1").write_bytes(b"no events " * 9)
    (folder / "2025" / "notes").mkdir()
    (folder / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [RULE]}))
    return folder


def test_one_command_gives_the_table_and_says_what_could_not_be_tried(logs: Path) -> None:
    answer = here("rules", "backtest", logs / "rules.yaml", "--tensorboard", logs)
    assert (answer.status, answer.err) == (0, "")
    told = answer.out.splitlines()
    assert told[0] == "low: stops"
    rows = {line.split()[0]: line.split()[1:] for line in told[2:5]}
    assert rows == {
        "2024/bad": ["6", "300", "0.1900", "0.1800", "-0.0100", "200", "2.0", "-"],
        "2024/flux/tb": ["4", "-", "-", "-", "-", "-", "-", "-"],
        "2025/slow": ["6", "300", "(resolved", "400)", "0.2100", "0.2800", "+0.0700", "200", "2.0", "-"],
    }
    assert told[5] == (
        "2 of 3 runs stopped, 400 steps and 4.0 hours saved, largest regret +0.0700 (2025/slow); 1 run recovered later"
    )
    left_out = [line.partition(":")[0] for line in told if line.startswith("not tried")]
    assert left_out == [f"not tried on 2025/{name}" for name in ("broken", "loss", "named", "percent")]
    assert "--tag clip/mean=eval/clip_score" in answer.out
    assert "--scale 0.01" in answer.out
    assert f"{logs / '2025' / 'broken' / 'events.out.tfevents.1'}: no event record at byte 0" in told[-1]


def test_the_hints_of_the_first_command_make_the_second_try_all(logs: Path) -> None:
    folders = [logs / "2024", logs / "2025"]  # as a shell gives `logs/*`
    more = ("--tag", "clip/mean=eval/clip_score", "--scale", "0.01", "--json")
    found = here("rules", "backtest", logs / "rules.yaml", "--tensorboard", *folders, *more).json
    (rule,) = found["rules"]
    assert (rule["tried"], rule["fired"], rule["stops"], rule["metric"]) == (5, 4, True, "clip/mean")
    assert (rule["regret_run"], rule["recovered"], rule["steps_saved"]) == ("2025/slow", 1, 400)
    first = {run["name"]: run["results"][0]["first"] for run in found["runs"]}
    assert first["2025/percent"]["value"] == pytest.approx(0.21)
    assert first["2025/loss"] is None


def test_several_rules_are_tried_each_with_its_own_sum(logs: Path, tmp_path: Path) -> None:
    second = {"name": "high", "when": "clip/mean > 0.275", "then": "alert"}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [second]}))
    answer = here("rules", "backtest", logs / "rules.yaml", tmp_path / "more.yaml", "--tensorboard", logs)
    assert "2 of 3 runs stopped" in answer.out
    assert "high: does not stop; what a stop would have saved:" in answer.out
    assert "1 of 3 runs fired" in answer.out


def test_where_nothing_can_be_tried_it_says_so_and_fails(logs: Path) -> None:
    answer = here("rules", "backtest", logs / "rules.yaml", "--tensorboard", logs / "2025" / "loss")
    assert answer.status == 1
    assert "not tried on loss: no tag `clip/mean` in it; it has train_loss, val_loss" in answer.out


def test_a_rule_with_confidence_says_what_it_lacks_and_judges_with_an_assumed_error(logs: Path, tmp_path: Path) -> None:
    sure = {**RULE, "when": {"metric": "clip/mean", "below": 0.22, "confidence": 0.9}}
    (tmp_path / "sure.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [sure]}))
    words = ("rules", "backtest", tmp_path / "sure.yaml", "--tensorboard", logs / "2024")
    assert "to judge more of bad, flux/tb: " in here(*words).out
    answer = here(*words, "--assume-stderr", "0.01")
    assert "1 of 2 runs stopped" in answer.out
    assert "to judge more" not in answer.out


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["/tmp"],
        ["--tensorboard", "/tmp", "--tag", "clip/mena=x"],
        ["--tensorboard", "/tmp", "--tag", "clip/mean"],
        ["--tensorboard", "/tmp", "--scale", "0"],
        ["--tensorboard", "/tmp", "--assume-stderr", "-1"],
    ],
)
def test_what_is_asked_for_wrongly_exits_2(logs: Path, more: list[str]) -> None:
    answer = here("rules", "backtest", logs / "rules.yaml", *more)
    assert (answer.status, answer.out) == (2, "")
    assert "Usage: watcher rules backtest" in answer.err


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"), yaml.safe_dump({"version": 1, "rules": [RULE]}))
    for step, mean in enumerate((0.3, 0.2, 0.1, 0.1, 0.2)):
        world.evaluation(100 * step, mean)
    yield world
    world.end()


def test_recorded_runs_are_tried_as_the_daemon_judged_them(world: World) -> None:
    config = ("-c", world.folder / "watcher.yaml")
    found = here("rules", "backtest", world.folder / "rules.yaml", "--runs", "r*", "--json", *config).json
    (run,) = found["runs"]
    assert (run["name"], run["results"][0]["fires"]) == ("run", [300])
    assert [(step, state) for _, step, state in world.decisions()] == [(300, "firing")]


def test_a_rule_that_is_not_for_a_recorded_run_says_so_and_a_pattern_without_runs_too(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"version": 1, "rules": [{**RULE, "runs": {"names": ["x*"]}}]}))
    config = ("-c", world.folder / "watcher.yaml")
    answer = here("rules", "backtest", tmp_path / "rules.yaml", "--runs", "run", *config)
    assert (answer.status, answer.out.splitlines()[1]) == (
        1,
        "not tried on run: the rule is not for this run (`runs:`)",
    )
    none = here("rules", "backtest", tmp_path / "rules.yaml", "--runs", "ran", *config)
    assert (none.status, none.err) == (1, "watcher: no run 'ran'; did you mean `run`?\n")
