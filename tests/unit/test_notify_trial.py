"""`watcher notify test`: each target says how it took the notice, what to do where it did not, and no secret."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import here
from tests.servers import Answer, Server, certificate, tls_context
from tests.slackapi import slack
from watcher.notify import Log, Trial, trial
from watcher.nouns import Notice

SECRET = "T0KEN-of-the-hook"


def config(folder: Path, *targets: Any) -> Path:
    path = folder / "watcher.yaml"
    path.write_text(yaml.safe_dump({"runs": [{"path": "run"}], "notify": list(targets), "state": "state"}))
    return path


def hook(server: Server, kind: str = "webhook", **more: Any) -> dict[str, Any]:
    return {kind: {"url": server.url(f"/{SECRET}"), **more}}


def test_every_target_gets_it_whatever_severity_it_wants(tmp_path: Path) -> None:
    with Server() as one, Server(slack) as two:
        targets = (hook(one, called="one", min_severity="critical"), hook(two, "slack", called="two"), "log")
        answer = here("notify", "test", "-c", config(tmp_path, *targets))
    assert answer.status == 0, answer.err
    assert [line.split()[:2] for line in answer.out.splitlines()] == [["ok", "one"], ["ok", "two"], ["ok", "log"]]
    assert one.heard[0].json["kind"] == "test"
    assert two.heard[0].json["text"] == "watcher: test notice"


def test_nothing_is_stored(tmp_path: Path) -> None:
    here("notify", "test", "-c", config(tmp_path, "log"))
    assert not (tmp_path / "state").exists()


def test_one_that_fails_says_why_and_what_to_do_and_the_others_are_told_of_all_the_same(tmp_path: Path) -> None:
    with Server(Answer(404, "no_service")) as bad, Server() as good:
        path = config(tmp_path, hook(bad, "slack", called="bad"), hook(good, called="good"))
        answer = here("notify", "test", "-c", path)
        found = here("notify", "test", "--json", "-c", path)
    assert (answer.status, found.status) == (1, 1)
    first, second = answer.out.splitlines()
    assert first.startswith("FAIL  bad in ")
    assert first.endswith(": answered 404: no_service; the hook was revoked: make a new one, and set its `url`")
    assert second.startswith("ok    good in ")
    assert found.json["schema_version"] == 1
    assert [{**one, "seconds": 0} for one in found.json["targets"]] == [
        {
            "name": "bad",
            "ok": False,
            "seconds": 0,
            "reason": "answered 404: no_service",
            "way_out": "the hook was revoked: make a new one, and set its `url`",
        },
        {"name": "good", "ok": True, "seconds": 0, "reason": "", "way_out": ""},
    ]


def test_they_are_tried_at_once_each_within_its_own_timeout(tmp_path: Path) -> None:
    with Server(Answer(manner="hang")) as slow, Server(Answer(manner="hang")) as slower:
        targets = (hook(slow, called="a", timeout="2s"), hook(slower, called="b", timeout="2s"))
        found = here("notify", "test", "--json", "-c", config(tmp_path, *targets)).json["targets"]
    assert [one["reason"] for one in found] == ["no answer within 2 s"] * 2
    assert all("timeout" in one["way_out"] for one in found)


class Waiting(Log):
    """A target that takes a notice only while another one is being sent as well."""

    def send(self, notice: Notice, now: float) -> None:
        open_now.append(self)
        deadline = time.monotonic() + 60
        while len(open_now) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def label(self) -> str:
        return f"waiting {id(self)}"


open_now: list[Waiting] = []


def test_no_target_waits_for_another() -> None:
    found = trial([Waiting(), Waiting()], Notice("k", "info", "t", "x"), 0.0)
    assert [one.ok for one in found] == [True, True]


@pytest.mark.parametrize("as_json", [False, True])
def test_no_secret_is_shown(tmp_path: Path, as_json: bool) -> None:
    with Server(Answer(403, f"unknown hook {SECRET}")) as server:
        path = config(tmp_path, hook(server), hook(server, secret="s3cret-key"))
        answer = here("notify", "test", "-c", path, *(["--json"] if as_json else []))
    assert answer.status == 1
    assert SECRET not in answer.out + answer.err
    assert "s3cret-key" not in answer.out + answer.err
    assert "check `url`" in answer.out


def test_a_host_that_nobody_knows_and_a_port_at_which_nobody_listens_have_their_ways_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: whoever comes is refused
        closed = {"webhook": {"url": f"http://127.0.0.1:{taken.getsockname()[1]}/x", "called": "closed"}}
        nowhere = {"webhook": {"url": "http://no-such-host.invalid/x", "called": "nowhere", "timeout": "30s"}}
        found = here("notify", "test", "--json", "-c", config(tmp_path, closed, nowhere)).json["targets"]
    assert found[0]["way_out"].startswith("nothing listens there")
    assert found[1]["way_out"].startswith(("no such host", "check the host"))


def test_a_certificate_that_nobody_trusts_has_its_way_out(tmp_path: Path) -> None:
    with Server(tls=tls_context(*certificate(tmp_path))) as server:
        (found,) = here("notify", "test", "--json", "-c", config(tmp_path, hook(server))).json["targets"]
    assert "SSL_CERT_FILE" in found["way_out"]


def test_without_any_target_it_fails_and_says_so(tmp_path: Path) -> None:
    answer = here("notify", "test", "-c", config(tmp_path))
    assert (answer.status, answer.out) == (1, "")
    assert "`notify:` names no target" in answer.err


@pytest.mark.parametrize(
    ("reason", "way_out"),
    [
        ("answered 410", "check the path"),
        ("answered 401: who are you", "check `url`"),
        ("answered 302", "redirects are not followed"),
        ("answered 400: invalid_blocks", "right kind of target"),
        ("answered 429", "patience"),
        ("answered 503: refused by ssl", "trouble of its own"),
        ("secret_file /x cannot be read: no", "can be read by this user"),
        ("a bug: KeyError in send, line 3", "docs/notices.md"),
    ],
)
def test_every_failure_has_a_way_out(reason: str, way_out: str) -> None:
    assert way_out in Trial("t", 0.1, reason).way_out
