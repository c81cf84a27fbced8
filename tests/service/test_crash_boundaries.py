"""`kill -9` before and after every commit of the path: nothing is lost, nothing is done twice."""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import watcher
from tests.commands import alone
from tests.logs import event_file
from tests.service.crash_driver import TIMES
from tests.service.crashes import Receiver, check_whole, receiving, training, wait_gone
from tests.service.daemons import Daemon, Place, wait_for
from watcher.demo.stage import CLIP

DRIVER = (sys.executable, str(Path(__file__).with_name("crash_driver.py")))
DAY = 24 * 3600
LOGGED = range(1, 100)
"""Steps of which the trainer has logged its loss."""
RULES = """
version: 1
rules:
  - name: low
    when: clip/mean < 0.5
    for: 3 evaluations
    then: [alert, {stop: {save: "no", delay: 0s, grace: 60s}}]
  - {name: poor, when: clip/mean < 0.5, then: alert, repeat: 5s}
  - {name: quiet, when: {silent: 2s}}
  - {name: spiky, when: trainer/loss > 5}
"""
MEANS = """
SELECT evaluations.step, metrics.value FROM metrics
JOIN evaluations ON evaluations.id = metrics.evaluation_id JOIN runs ON runs.id = evaluations.run_id
WHERE metrics.name = 'clip/mean' AND runs.name = 'shapes' ORDER BY evaluations.step
"""


def changes() -> set[str]:
    """Give the name of every change that the daemon makes to the store.

    A command beside it makes one change and ends: there is nothing that it could leave half done.
    """
    package = Path(watcher.__file__).parent
    beside = ("byhand", "cli", "view")
    paths = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in beside]
    trees = [ast.parse(path.read_text()) for path in paths]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [c.args[0] for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "change"]
    assert all(isinstance(name, ast.Constant) for name in names), "a change whose name is not a plain text"
    return {name.value for name in names if isinstance(name, ast.Constant)}


class Chain:
    """Daemons over one place, one after another, each killed a little further on."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        (folder / "rules.yaml").write_text(RULES)
        self.place = Place(
            folder,
            mode="enforce",
            rules=["rules.yaml"],
            trackers={"tensorboard": {}},
            notify=["log", {"webhook": {"url": receiver.url}}],
            scorers={"clip": {"model": str(folder / "clip"), "device": "cpu", "threads": 1}},
        )
        self.ledger = folder / "ledger"
        self.receiver = receiver

    def died(self, change: str) -> bool:
        """Tell whether daemons have died before and after a change, as often as they should."""
        deaths = self.ledger.read_text().splitlines() if self.ledger.exists() else []
        return all(deaths.count(f"{side} {change}") >= 1 for side in ("before", "after"))

    def until(self, done: Callable[[], object], what: str) -> None:
        """Start a daemon whenever the last one has died, until something is so; the last is killed as well."""
        while not done():
            self._one(lambda daemon: done() or daemon.poll() is not None, what)

    def end(self) -> None:
        """Ask one daemon after another to end, until one comes that far."""
        status: int | None = None
        while status != 0:
            with self._daemon() as daemon:
                daemon.wait_ready()
                status = daemon.end()
            assert status in (0, -signal.SIGKILL), daemon.log()

    def _one(self, over: Callable[[Daemon], object], what: str) -> None:
        with self._daemon() as daemon:
            scorers = set(daemon.scorers())
            wait_for(lambda: scorers.update(daemon.scorers()) or over(daemon), what)
            assert daemon.poll() in (None, -signal.SIGKILL), daemon.log()
        wait_gone(scorers)
        check_whole(self.place)

    def changes_rules(self, text: str) -> None:
        """Change the rules of a daemon that runs, until it dies of that."""
        rules = self.place.folder / "rules.yaml"
        rules.write_text(RULES)
        with self._daemon() as daemon:
            daemon.wait_ready()
            rules.write_text(text)
            wait_for(lambda: daemon.poll() is not None, "it dies of changed rules")
            assert daemon.poll() == -signal.SIGKILL, daemon.log()
        rules.write_text(RULES)
        check_whole(self.place)

    def _daemon(self) -> Daemon:
        return self.place.daemon({"CRASH_LEDGER": str(self.ledger)}, command=DRIVER)

    def action(self) -> str:
        """Give the state of the one action, if there is one yet."""
        return next((str(row[0]) for row in self.place.query("SELECT state FROM actions")), "")

    def pending(self) -> int:
        """Count the notices that are still on their way."""
        return len(self.place.query("SELECT id FROM deliveries WHERE state = 'pending'"))


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with receiving() as receiver:
        yield Chain(tmp_path, receiver)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_at_every_commit_it_still_scores_once_tells_all_and_stops_once(chain: Chain) -> None:
    with training(chain.place.run) as process:
        waits_for_its_model_and_a_prompt(chain)
        reminds_of_a_poor_evaluation(chain)
        stops_the_training_while_the_receiver_refuses(chain)
        assert process.wait(60) == 0
        assert process.stdout is not None
        assert int(process.stdout.read()) >= 1  # so many SIGTERMs: repeated, and harmless
    with training(chain.place.run) as again:
        tells_all(chain)
        loses_and_finds_runs(chain)
        gives_up_what_has_no_target_any_more(chain)
        chain.end()
        everything_is_there_once(chain)
        scores_a_past_again(chain)
        chain.end()
        everything_is_as_it_was(chain)
        refuses_rules_and_takes_others_over(chain)
        assert again.poll() is None  # what was started after the verified stop is no business of that stop
    missed = {name for name in changes() if not chain.died(name)}
    assert not missed, f"no daemon was killed around these changes: {missed}"
    assert set(TIMES) <= changes()


def waits_for_its_model_and_a_prompt(chain: Chain) -> None:
    """The model's folder is not there yet, and the prompt library lacks one prompt."""
    library = chain.place.folder / "config" / "user_prompt_library.json"
    prompts = json.loads(library.read_text())
    lacking = chain.place.scenes[0].slug
    library.write_text(json.dumps({key: text for key, text in prompts.items() if key != lacking}))
    chain.place.write(100, right=0.0)
    event_file(chain.place.run / "logs" / "shapes", 1000.0, [(1000.0 + n, n, {"train_loss": 1.0 / n}) for n in LOGGED])
    chain.until(lambda: chain.died("scorer down"), "the scorer has no model")
    library.write_text(json.dumps(prompts))
    (chain.place.folder / "clip").symlink_to(CLIP)
    chain.until(lambda: chain.place.scored() == 16, "all images of the first evaluation are scored")


def reminds_of_a_poor_evaluation(chain: Chain) -> None:
    chain.place.write(200, right=0.0)
    chain.until(lambda: chain.died("remind"), "it is scored, judged, told and reminded of")
    chain.until(lambda: chain.died("silence"), "the run falls silent for a daemon that is awake")


def stops_the_training_while_the_receiver_refuses(chain: Chain) -> None:
    chain.receiver.refusing = True
    chain.place.write(300, right=0.0)
    chain.until(lambda: chain.action() == "verified", "the training is stopped")
    chain.until(lambda: chain.died("action"), "daemons have died around every state of the action")


def tells_all(chain: Chain) -> None:
    chain.until(lambda: chain.died("not delivered"), "a notice is not delivered")
    chain.receiver.refusing = False
    chain.until(lambda: chain.died("delivered") and not chain.pending(), "everything is delivered")
    posted = {str(row[0]) for row in chain.place.query("SELECT key FROM outbox")}
    assert set(chain.receiver.keys()) == posted


def loses_and_finds_runs(chain: Chain) -> None:
    """The run's folder is away for a while; another, archived at first sight, has new output."""
    away = chain.place.folder / "away"
    chain.place.run.rename(away)
    chain.until(lambda: chain.died("lose run"), "the run is gone")
    away.rename(chain.place.run)
    chain.until(lambda: chain.place.run_state() == "active", "the run is back")
    old = Place(chain.place.folder / "old", state=chain.place.state)
    for path in old.write(800):
        os.utime(path, (0, path.stat().st_mtime - 2 * DAY))
    moved = chain.place.run.with_name("old")
    old.run.rename(moved)
    archived = "SELECT 1 FROM runs WHERE name = 'old' AND state = 'archived'"
    chain.until(lambda: chain.place.query(archived), "the old run is archived")
    picture = next(moved.rglob("*.png"))
    picture.with_name(picture.name.replace("step_800", "step_900")).write_bytes(picture.read_bytes())
    chain.until(lambda: chain.died("wake run"), "the old run is awake")


def gives_up_what_has_no_target_any_more(chain: Chain) -> None:
    chain.receiver.refusing = True
    chain.place.write(400)
    closed = "SELECT 1 FROM evaluations WHERE step = 400 AND state = 'closed'"
    chain.until(
        lambda: chain.place.query(closed) and chain.pending(),
        "the notice that all is well again waits for the receiver",
    )
    written = yaml.safe_load(chain.place.config.read_text())
    chain.place.config.write_text(yaml.safe_dump({**written, "notify": ["log"]}))
    chain.until(lambda: not chain.pending(), "it is given up")


def scores_a_past_again(chain: Chain) -> None:
    answer = alone("score", "--again", "shapes", "--step", "400", "-c", chain.place.config)
    assert (answer.status, answer.err) == (0, "")
    chain.until(lambda: chain.died("scored again"), "its images are scored and it is measured again")
    waiting = "SELECT 1 FROM facts WHERE key LIKE 'again:%' UNION SELECT 1 FROM samples WHERE state = 'ready'"
    chain.until(lambda: not chain.place.query(waiting), "the order is carried out")


def refuses_rules_and_takes_others_over(chain: Chain) -> None:
    """A daemon that starts has to find right ones, so they are changed while it runs."""
    for change, text in (
        ("refuse rules", RULES.replace("0.5", "50")),
        ("rules", RULES.replace("repeat: 5s", "repeat: 6s")),
    ):
        while not chain.died(change):
            chain.changes_rules(text)


def everything_is_as_it_was(chain: Chain) -> None:
    """What is scored again by the same model is the same, and begins nothing."""
    assert set(chain.place.scores().values()) <= {0, 1}
    assert chain.place.query("SELECT rule, kind, state FROM actions") == [("low", "stop", "verified")]
    assert chain.place.query("SELECT rule, step FROM decisions WHERE rule != 'quiet'") == [("poor", 200), ("low", 300)]
    assert [step for step, _ in chain.place.query(MEANS)] == [100, 200, 300, 400]


def everything_is_there_once(chain: Chain) -> None:
    scores = chain.place.scores()
    watched = {path.name for path in chain.place.images.iterdir()}
    assert len(watched) == 4 * 16
    assert {scores[name] for name in watched} == {1}
    assert chain.place.query("SELECT rule, kind, state FROM actions") == [("low", "stop", "verified")]
    assert chain.place.query("SELECT rule, step FROM decisions WHERE rule != 'quiet'") == [("poor", 200), ("low", 300)]
    stored = chain.place.query(MEANS)
    losses = "SELECT step, value FROM scalars WHERE name = 'trainer/loss' ORDER BY step"
    assert chain.place.query(losses) == [(n, pytest.approx(1.0 / n)) for n in LOGGED]
    windows = chain.place.query("SELECT end_step, value FROM windows")
    assert windows == [(50, pytest.approx((1.0 / 25 + 1.0 / 26) / 2))]
    at_100 = (
        "SELECT value FROM metrics JOIN evaluations ON id = evaluation_id WHERE name = 'trainer/loss' AND step = 100"
    )
    assert chain.place.query(at_100) == [(pytest.approx(1.0 / LOGGED[-1]),)]
    curves = EventAccumulator(str(chain.place.run / "logs" / "shapes" / "watcher"))
    curves.Reload()
    drawn = [(event.step, event.value) for event in curves.Scalars("clip/mean")]
    assert [step for step, _ in drawn] == [step for step, _ in stored] == [100, 200, 300, 400]
    assert [value for _, value in drawn] == pytest.approx([value for _, value in stored], abs=1e-6)
