"""Calls in this process, where the worker's own parts can be made to fail."""

import hashlib
import threading
from typing import NoReturn

import pytest

from tests.unit.worker.process import LIMITS, SEED, start_frame
from theater_worker.component import ActorComponent, Err, Ok, Stopped
from theater_worker.engine import new_engine
from theater_worker.output import GuestOutput
from theater_worker.time_limit import TimeLimit


def load(actor: str) -> ActorComponent:
    """Make an instance of a test actor in this process."""
    engine = new_engine()
    time_limit = TimeLimit(5, engine.increment_epoch)
    component = ActorComponent(engine, start_frame(actor).compiled_path, LIMITS, SEED, time_limit)
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


def test_a_result_too_large_for_a_frame_is_an_err(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the wire cannot carry is refused with both sizes; the state does not change."""
    monkeypatch.setattr("theater_worker.component.MAX_FRAME_BYTES", 1000)
    component = load("echo")
    assert isinstance(component.call(0, None, "text", "x" * 100, None), Ok)
    outcome = component.call(0, None, "text", "é" * 500, None)
    assert outcome == Err("a result of 1276 bytes is over the limit of 1000")


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
