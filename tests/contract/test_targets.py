"""What every target promises: it returns once a notice has arrived, says how it failed, and keeps its secrets."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.contract.registries import make
from watcher.errors import DeliveryError
from watcher.notify import TARGETS, Target
from watcher.nouns import Notice

NOTICE = Notice("key-1", "warning", "run: low at step 100", "clip/mean is low", run="run", rule="low", at=1.0)
EVERY = pytest.mark.parametrize("cls", TARGETS, ids=lambda cls: cls.name)
REMOTE = pytest.mark.parametrize("cls", [cls for cls in TARGETS if "url" in cls.model_fields], ids=lambda cls: cls.name)


class Receiver:
    """A server on this machine that answers everything alike and remembers what it was sent."""

    def __init__(self) -> None:
        self.answer = 200
        self.bodies: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                receiver.bodies.append(self.rfile.read(length).decode())
                self.send_response(receiver.answer)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/services/SECRET?key=SECRET"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def target(cls: type[Target], receiver: Receiver) -> Target:
    more: dict[str, Any] = {"url": receiver.url} if "url" in cls.model_fields else {}
    made: Target = make(cls, **more)
    return made


@EVERY
def test_a_notice_that_was_sent_has_arrived(
    cls: type[Target], receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        target(cls, receiver).send(NOTICE, 1000.0)
    arrived = caplog.text + "".join(receiver.bodies)
    assert NOTICE.title in arrived
    assert NOTICE.text in arrived.replace(r"\/", "/")
    assert len(receiver.bodies) == ("url" in cls.model_fields)


@REMOTE
@pytest.mark.parametrize(("answer", "permanent"), [(500, False), (503, False), (429, False), (404, True), (403, True)])
def test_an_answer_says_whether_to_try_again(
    cls: type[Target], receiver: Receiver, answer: int, permanent: bool
) -> None:
    receiver.answer = answer
    with pytest.raises(DeliveryError, match=str(answer)) as caught:
        target(cls, receiver).send(NOTICE, 1000.0)
    assert caught.value.permanent is permanent
    assert "SECRET" not in str(caught.value)


@REMOTE
def test_a_receiver_that_is_not_there_may_come_back(cls: type[Target], receiver: Receiver) -> None:
    gone = target(cls, receiver)
    receiver.close()
    with pytest.raises(DeliveryError) as caught:
        gone.send(NOTICE, 1000.0)
    assert not caught.value.permanent
    assert "SECRET" not in str(caught.value)


@EVERY
def test_nothing_that_is_shown_holds_a_secret(cls: type[Target]) -> None:
    made = make(cls)
    assert made.label()
    for shown in (
        made.label(),
        made.mark(),
        repr(made),
        str(made),
        made.model_dump_json(),
        json.dumps(made.model_dump(mode="json")),
    ):
        assert "SECRET" not in shown


@EVERY
def test_it_is_called_the_same_after_a_restart(cls: type[Target]) -> None:
    assert (make(cls).label(), make(cls).mark()) == (make(cls).label(), make(cls).mark())
