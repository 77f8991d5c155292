"""Requests on threads: what is sent once the device leaves."""

from __future__ import annotations

import threading

from shoal.control.handling import Handling
from shoal.control.messages import pack_request, unpack_reply
from shoal.control.values import Dismiss, Done, Failed, Reply, Request

PATIENCE_S = 10.0
DATA = pack_request(Dismiss("arm/cpu", 1, "0" * 64))


def test_closing_waits_for_what_is_being_sent() -> None:
    handling, begun, on, sent = Handling("arm"), threading.Event(), threading.Event(), list[str]()
    handling.handler = lambda _: Done()

    def send(_: bytes) -> None:
        begun.set()
        assert on.wait(PATIENCE_S)
        sent.append("sent")

    handling.take(DATA, send, lambda: sent.append("ended"))
    assert begun.wait(PATIENCE_S)
    threading.Timer(0.1, on.set).start()
    handling.close()
    assert sent == ["sent", "ended"]


def test_a_reply_that_comes_after_closing_goes_nowhere() -> None:
    handling, begun, on = Handling("arm"), threading.Event(), threading.Event()
    threads, sent = list[threading.Thread](), list[bytes]()

    def handler(_: Request) -> Reply:
        threads.append(threading.current_thread())
        begun.set()
        assert on.wait(PATIENCE_S)
        return Done()

    handling.handler = handler
    handling.take(DATA, sent.append, lambda: sent.append(b"ended"))
    assert begun.wait(PATIENCE_S)
    handling.close()
    on.set()
    threads[0].join(PATIENCE_S)
    assert not threads[0].is_alive()
    assert sent == []


def test_no_handler_is_a_refusal() -> None:
    handling, done, sent = Handling("arm"), threading.Event(), list[bytes]()
    handling.take(DATA, sent.append, done.set)
    assert done.wait(PATIENCE_S)
    assert unpack_reply(sent[0], "arm") == Failed("WorkError", "arm: takes no requests yet")
