"""The whole daemon with W&B: what is down costs nothing, what is killed loses nothing, and nothing is left of it."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.commands import alone
from tests.service.daemons import Daemon, Place, lives, wait_for
from tests.wandb_files import curve, rows, sessions
from tests.wandb_server import KEY, wandb_server

RULES = "version: 1\nrules: [{name: low, when: clip/mean < 0.99, then: alert}]\n"


def place_with(folder: Path, wandb: dict[str, object]) -> Place:
    (folder / "rules.yaml").write_text(RULES)
    return Place(folder, rules=["rules.yaml"], trackers={"tensorboard": {}, "wandb": wandb})


@pytest.fixture
def silent() -> Iterator[dict[str, str]]:
    """A server that takes connections and never answers, and a user who has a key for it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield {"WANDB_BASE_URL": url, "WANDB_API_KEY": KEY}


def means(place: Place) -> list[tuple[int, float]]:
    found = place.query(
        "SELECT step, round(value, 4) FROM metrics JOIN evaluations ON evaluations.id = evaluation_id "
        "WHERE name = 'clip/mean' AND state = 'closed' ORDER BY step"
    )
    return [(int(step), float(value)) for step, value in found]


def shown(place: Place, tracker: str) -> int:
    return len(place.query(f"SELECT 1 FROM mirrors WHERE tracker = '{tracker}'"))


def home(folder: Path) -> dict[str, str]:
    """A home without anybody's key."""
    return {"HOME": str(folder / "home"), "NETRC": str(folder / "netrc")}


@pytest.mark.slow
def test_a_server_that_never_answers_holds_up_nothing_and_what_it_missed_arrives_later(
    tmp_path: Path, silent: dict[str, str]
) -> None:
    place = place_with(tmp_path, {})
    place.write(100)
    with place.daemon({**home(tmp_path), **silent}) as daemon:
        daemon.wait_ready()
        wait_for(lambda: shown(place, "tensorboard") == 1, "TensorBoard shows it", daemon)
        wait_for(lambda: "failing" in (place.fact("tracker:wandb") or ""), "status is told", daemon)
        assert "run shapes: tracker wandb: " in daemon.log()
        said = alone("status", "-c", place.config).out
        assert "tracker wandb: " in said
        assert "the runs are judged all the same" in said
        place.write(200)
        wait_for(lambda: shown(place, "tensorboard") == 2, "the next is judged and shown all the same", daemon)
        assert len(place.query("SELECT 1 FROM decisions")) == 1
        wait_for(lambda: _speaks(daemon), "it tries again", daemon)
        children = daemon.scorers()
        started = time.monotonic()
        assert daemon.end() == 0
        assert time.monotonic() - started < 30
        wait_for(lambda: not any(lives(child) for child in children), "nothing outlives it")
    assert shown(place, "wandb") == 0
    with wandb_server() as server, place.daemon({**home(tmp_path), **silent, "WANDB_BASE_URL": server.url}) as daemon:
        wait_for(lambda: shown(place, "wandb") == 2, "what it missed arrives", daemon)
        (run,) = server.runs
        assert [(row["step"], round(row["clip/mean"], 4)) for row in server.rows(run)] == means(place)
        assert daemon.end() == 0


def _speaks(daemon: Daemon) -> bool:
    words = [" ".join(child.cmdline()) for child in daemon.scorers() if child.is_running()]
    return any("watcher.record.wandb.worker" in word for word in words)


@pytest.mark.slow
def test_killed_at_any_moment_it_shows_each_evaluation_once(tmp_path: Path) -> None:
    place = place_with(tmp_path, {"mode": "offline"})
    seen: set[psutil.Process] = set()
    for number, patience in enumerate((0.0, 0.7, 1.4, 2.1), start=1):
        place.write(100 * number)
        with place.daemon(home(tmp_path)) as daemon:
            wait_for(lambda: len(means(place)) == number, "it is closed", daemon)  # noqa: B023 - called at once
            moment = time.monotonic() + patience
            wait_for(lambda: seen.update(daemon.scorers()) or time.monotonic() > moment, "a while", daemon)  # noqa: B023
            daemon.process.send_signal(signal.SIGKILL)
            daemon.wait()
            wait_for(lambda: not any(lives(child) for child in seen), "nothing outlives it")
    with place.daemon(home(tmp_path)) as daemon:
        daemon.wait_ready()  # all may be shown already: it must not be ended before it listens to that
        wait_for(lambda: shown(place, "wandb") == 4, "all are shown", daemon)
        assert daemon.end() == 0
    (folder,) = (place.state / "wandb").glob("[!.]*/*")
    assert sorted(curve(folder)) == means(place)
    assert all(session.ended() for session in sessions(folder))
    assert all(len(row["lowest.captions"]) == 4 for row in rows(folder))
    assert not list((place.state / "wandb").glob(".batch-*"))


def test_without_a_key_the_daemon_says_what_to_do_and_goes_on(tmp_path: Path) -> None:
    place = place_with(tmp_path, {})
    place.write(100)
    done = alone("run", "--once", "-c", place.config, environment=home(tmp_path))
    assert done.status == 0, done.err
    assert shown(place, "tensorboard") == 1
    assert "run `wandb login` as the user of the daemon" in alone("status", "-c", place.config).out


def test_once_writes_offline_before_it_ends(tmp_path: Path) -> None:
    place = place_with(tmp_path, {"mode": "offline"})
    settings = yaml.safe_load(place.config.read_text())
    assert settings["trackers"]["wandb"] == {"mode": "offline"}
    place.write(100)
    place.write(200)
    assert alone("run", "--once", "-c", place.config, environment=home(tmp_path)).status == 0
    (folder,) = (place.state / "wandb").glob("[!.]*/*")
    assert sorted(curve(folder)) == means(place)
    said = alone("check", "-c", place.config).out
    assert f"`wandb sync {folder}`" in said
