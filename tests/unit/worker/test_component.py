"""Calls in this process, where the worker's own parts can be made to fail."""

import hashlib
import threading
from dataclasses import replace
from typing import NoReturn

import pytest

from tests.unit.worker.process import LIMITS, SEED, start_frame
from theater_protocol.messages import Limits, Reply
from theater_worker.component import ActorComponent, Err, Ok, Stopped
from theater_worker.engine import new_engine
from theater_worker.output import GuestOutput
from theater_worker.time_limit import TimeLimit


def load(actor: str, limits: Limits = LIMITS) -> ActorComponent:
    """Make an instance of a test actor in this process."""
    engine = new_engine()
    time_limit = TimeLimit(5, engine.increment_epoch)
    component = ActorComponent(engine, start_frame(actor).compiled_path, limits, SEED, time_limit)
    time_limit.start()
    component.instantiate()
    return component


def _fail(*_: object) -> NoReturn:
    raise RuntimeError("the host's fault")


def test_an_error_in_a_host_function_is_not_blamed_on_the_guest(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The outcome is a trap that names the worker, with the traceback in the log, and the actor goes on."""
    component = load("probe")
    monkeypatch.setattr(GuestOutput, "line", _fail)
    outcome = component.call(0, b"s", "text", "log this", None)
    assert outcome == Stopped("trap", "an error in the worker itself, see its log")
    log = capfd.readouterr().err
    assert "\x1eETraceback (most recent call last):\n" in log
    assert "\x1eERuntimeError: the host's fault\n" in log
    component.replace_instance()
    assert isinstance(component.call(0, b"s", "text", "hello", None), Ok)


SMALL = replace(LIMITS, max_state_bytes=100, max_replies=3, max_reply_bytes=100)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("state 101", "a state of 101 bytes is over the limit of 100"),
        ("many 4", "4 replies are over the limit of 3"),
        ("é" * 51, "replies of 102 bytes are over the limit of 100"),
        (
            "state 1000",
            "the answer is over the limits: 100 bytes of state, 3 replies of 100 bytes",
        ),
    ],
)
def test_an_answer_over_a_limit_is_an_err(command: str, problem: str) -> None:
    """The size and the limit are named; the state does not change, and the next call works."""
    component = load("probe", SMALL)
    assert component.call(0, b"before", "text", command, None) == Err(problem)
    assert component.call(0, b"before", "text", "x" * 100, None) == Ok(b"before", (Reply("text", "x" * 100),))
    assert component.call(0, b"before", "text", "state 100", None) == Ok(b"x" * 100, ())


def test_a_long_error_is_shortened() -> None:
    """An error string of any length becomes a detail that fits into a frame."""
    outcome = load("probe").call(0, None, "text", "err " + "x" * 100_000, None)
    assert isinstance(outcome, Err)
    assert outcome.detail == "x" * 4095 + "…"


def test_a_call_within_the_limit_is_left_alone() -> None:
    """Neither callback runs for a call that ends in time."""
    called: list[str] = []
    limit = TimeLimit(60, lambda: called.append("expired"), lambda: called.append("slow"))
    limit.start()
    limit.begin()
    assert limit.end() is False
    assert called == []


def test_a_call_over_the_limit_expires_once() -> None:
    """Expiry happens while the call runs, and end() reports it."""
    called: list[str] = []
    expired = threading.Event()

    def expire() -> None:
        called.append("expired")
        expired.set()

    limit = TimeLimit(0.02, expire, lambda: called.append("slow"))
    limit.start()
    for _ in range(2):
        expired.clear()
        limit.begin()
        assert expired.wait(30)
        assert limit.end() is True
    assert called == ["slow", "expired"] * 2


def test_seeds_are_chained() -> None:
    """Each fresh instance's seed is the hash of the one before."""
    component = load("echo")
    component.replace_instance()
    component.replace_instance()
    assert component._seed == hashlib.sha256(hashlib.sha256(SEED).digest()).digest()
