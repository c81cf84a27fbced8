"""Notices of the real daemon to real servers: delivered after a crash, never held up, and without secrets anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from tests.servers import Answer, Server
from tests.service.daemons import PATIENCE, Place, wait_for
from tests.slackapi import slack

KEYS = ("kEyInPath", "kEyInQuery", "kEyOfSignature", "kEyOfSlack", "kEyOfUser", "kEyOfDeaf")
RULES = {"version": 1, "rules": [{"name": "low", "when": "clip/mean < 1", "severity": "critical"}]}


def states(place: Place) -> dict[str, str]:
    return {str(target): str(state) for target, state in place.query("SELECT target, state FROM deliveries")}


def test_a_daemon_that_was_killed_delivers_what_is_left_and_shows_no_secret(tmp_path: Path) -> None:
    (tmp_path / "low.yaml").write_text(yaml.safe_dump(RULES))
    with (
        Server(Answer(503, "try later"), Answer()) as flaky,
        Server(slack) as channel,
        Server(Answer(manner="hang")) as deaf,
    ):
        user = flaky.url("/kEyInPath?t=kEyInQuery").replace("//", "//me:kEyOfUser@")
        targets = [
            "log",
            {"webhook": {"url": deaf.url("/kEyOfDeaf"), "timeout": "1s", "called": "deaf"}},
            {"webhook": {"url": user, "secret": "${HOOK_SECRET}", "called": "flaky"}},
            {"slack": {"url": "${SLACK_URL}", "called": "channel"}},
        ]
        place = Place(tmp_path, rules=["low.yaml"], notify=targets)
        secrets = {"HOOK_SECRET": "kEyOfSignature", "SLACK_URL": channel.url("/kEyOfSlack")}
        with place.daemon(secrets) as daemon:
            daemon.wait_ready()
            place.write(100)
            wait_for(lambda: flaky.heard, "the first try has failed", daemon)
            wait_for(lambda: states(place).get("channel") == "delivered", "the others are told", daemon)
            daemon.kill()
            logs = daemon.log()
        with place.daemon(secrets) as daemon:
            wait_for(lambda: states(place).get("flaky") == "delivered", "the rest is delivered", daemon)
            wait_for(lambda: place.fact("target:deaf"), "the deaf one is known to be deaf", daemon)
            status = subprocess.run(
                [sys.executable, "-m", "watcher", "status", "--json", "-c", str(place.config)],
                check=True,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                env={"PATH": "", **secrets},
            ).stdout
            assert daemon.end() == 0
            logs += daemon.log()
        assert len({request.headers["Idempotency-Key"] for request in flaky.heard}) == 1
        assert all(request.headers["X-Watcher-Signature"] for request in flaky.heard)
        assert {request.json["title"] for request in flaky.heard} == {"shapes: low at step 100"}
        assert [request.json["text"] for request in channel.heard] == ["shapes: low at step 100"]
    kept = b"".join(path.read_bytes() for path in place.state.rglob("*") if path.is_file())
    assert "no answer within 1 s" in status
    assert states(place) == {"log": "delivered", "deaf": "pending", "flaky": "delivered", "channel": "delivered"}
    assert not [key for key in KEYS if key in logs or key in status or key.encode() in kept]
