"""What the fast route remembers from call to call, and what it leaves to the public one."""

from dataclasses import replace

import pytest

from tests.components import build
from tests.unit.worker.process import LIMITS
from tests.unit.worker.shim.malformed import Area, Message, words
from tests.unit.worker.shim.routes import load, routes
from theater_protocol.messages import Reply
from theater_worker.component import Err, Ok, Stopped
from theater_worker.shim.call import ShimRoute


def echoed(state: bytes | None) -> bytes | None:
    """Let an actor return its state, by both routes, twice: given to the shim, and kept by it."""
    both = routes("probe")
    first = both.call(state, "text", "echo")
    assert isinstance(first, Ok)
    second = both.call(first.state, "text", "echo")
    assert isinstance(second, Ok)
    assert second.state == first.state
    return second.state


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 33, 4095, 4096, 4097, 65536])
@pytest.mark.parametrize("last", [b"", b"\x7f", b"\x80", b"\xff"])
def test_states_of_every_size_come_back(size: int, last: bytes) -> None:
    """Around every boundary of the vector code, ASCII and not."""
    state = bytes(index % 128 for index in range(size)) + last
    assert echoed(state) == state


def test_every_byte_goes_through_hex() -> None:
    """All values, in state and data, at every place of a vector."""
    every = bytes(range(256)) * 2
    for shift in range(16):
        assert echoed(every[shift:]) == every[shift:]
        outcome = routes("probe").call(None, "binary", None, every[shift:])
        assert outcome == Ok(None, (Reply("binary", every[shift:]),))


def test_none_and_empty_are_two_states() -> None:
    """Also when one follows the other."""
    assert echoed(None) is None
    assert echoed(b"") == b""
    assert echoed(None) is None


@pytest.mark.parametrize("state", [b"x" * (8 << 20), bytes(range(256)) * (8 << 12)], ids=["ascii", "hex"])
def test_a_state_of_8_mib_works(state: bytes) -> None:
    """More than wasmtime's component API returns as a list."""
    _, actor = load(build("probe"), True)
    outcome = actor.call(0, state, "text", "echo", None)
    assert outcome == Ok(state, (Reply("text", "echo"),))


def test_an_unchanged_state_is_the_same_object() -> None:
    """So nobody needs to compare or hash it."""
    _, actor = load(build("probe"), True)
    state = bytes(range(256))
    outcome = actor.call(0, state, "text", "echo", None)
    assert isinstance(outcome, Ok)
    assert outcome.state is state


def test_the_kept_state_is_never_taken_for_another() -> None:
    """After any outcome, what counts is the state that is given."""
    both = routes("probe")
    a, b = b"state a", b"state b"
    assert both.call(a, "text", "echo") == Ok(a, (Reply("text", "echo"),))
    assert both.call(b, "text", "err no") == Err("no")
    assert both.call(a, "text", "echo") == Ok(a, (Reply("text", "echo"),))
    assert both.call(a, "text", "state 3") == Ok(b"xxx", ())
    assert both.call(a, "text", "none") == Ok(None, ())
    assert isinstance(both.call(b, "text", "trap"), Stopped)
    assert both.call(b, "text", "echo") == Ok(b, (Reply("text", "echo"),))
    assert both.call(b, "text", "badutf8") == Stopped("trap", "a string of the guest is not UTF-8")
    assert both.call(b, "text", "echo") == Ok(b, (Reply("text", "echo"),))


LARGE = bytes(index * 7 % 128 for index in range(2 * 4096 + 100))
EDITS = {
    "a byte in the first part": b"!" + LARGE[1:],
    "the byte before the last two parts": LARGE[:99] + b"!" + LARGE[100:],
    "the first byte of the last two parts": LARGE[:100] + b"!" + LARGE[101:],
    "a byte in the middle": LARGE[:6000] + b"!" + LARGE[6001:],
    "its last byte": LARGE[:-1] + b"!",
    "its last byte but a part": LARGE[:-4097] + b"!" + LARGE[-4096:],
    "both ends": b"!" + LARGE[1:-1] + b"!",
    "no ASCII": LARGE[:6000] + b"\xff" + LARGE[6001:],
    "longer at the end": LARGE + b"more",
    "longer in the middle": LARGE[:6000] + b"more" + LARGE[6000:],
    "longer at the begin": b"more" + LARGE,
    "longer by its begin": LARGE[:4096] + LARGE,
    "longer by its end": LARGE + LARGE[-4096:],
    "shorter at the end": LARGE[:-5000],
    "shorter in the middle": LARGE[:6000] + LARGE[7000:],
    "shorter at the begin": LARGE[5000:],
    "a part": LARGE[:4096],
    "empty": b"",
}


@pytest.mark.parametrize("after", EDITS.values(), ids=EDITS)
def test_what_an_event_left_of_the_state_is_not_lost(after: bytes) -> None:
    """Only what has changed is sent, there and back, wherever it is."""
    _, actor = load(build("malformed"), True)
    area = Area("malformed")
    for before, result in ((LARGE, after), (after, LARGE), (LARGE, after)):
        outcome = actor.call(0, before, "binary", None, words(0) + area.result(result, [Message("close")]))
        assert outcome == Ok(result, (Reply("close", None),))


def test_a_small_change_sends_little() -> None:
    """Of a state of 8 KiB one part of 4 KiB at most, in hex."""
    _, actor = load(build("touch"), True)
    first = actor.call(0, b"\xff" * len(LARGE), "ping", None, b"")
    assert isinstance(first, Ok)
    route = actor._route
    assert isinstance(route, ShimRoute)
    route._max_state_size = 2 * 4096
    second = actor.call(0, first.state, "ping", None, b"")
    assert second == Ok(b"\xff" * len(LARGE), ())


@pytest.mark.parametrize("is_longer_at_the_end", [True, False])
def test_an_addition_sends_no_more_than_itself(is_longer_at_the_end: bool) -> None:
    """At either end, also of a state that is no multiple of a part."""
    _, actor = load(build("malformed"), True)
    longer = LARGE + b"more" if is_longer_at_the_end else b"more" + LARGE
    answers = [words(0) + Area("malformed").result(state, []) for state in (LARGE, longer)]
    assert actor.call(0, LARGE, "binary", None, answers[0]) == Ok(LARGE, ())
    route = actor._route
    assert isinstance(route, ShimRoute)
    route._max_state_size = len(b"more")
    assert actor.call(0, LARGE, "binary", None, answers[1]) == Ok(longer, ())


def test_an_answer_over_the_limits_leaves_nothing_behind() -> None:
    """What was refused is not taken for the state of a later call, and the instance goes on."""
    _, actor = load(build("probe"), True)
    actor._route._max_answer_size = -(1 << 20)  # type: ignore[attr-defined] any answer is too long
    refused = actor.call(0, b"before", "text", "state 3", None)
    assert isinstance(refused, Err)
    actor._route._max_answer_size = 1 << 20  # type: ignore[attr-defined]
    assert actor.call(0, None, "text", "state 3", None) == Ok(b"xxx", ())
    assert actor.call(0, None, "text", "state 0", None) == Ok(b"", ())


def test_too_many_replies_leave_the_state_alone() -> None:
    """The new state of a refused answer is not what the next call begins with."""
    _, actor = load(build("malformed"), True)
    route = actor._route
    assert isinstance(route, ShimRoute)
    route._limits = replace(LIMITS, max_replies=2)
    state = b"the state before"
    answer = words(0) + Area("malformed").result(b"another", [Message("text")] * 3)
    assert actor.call(0, state, "binary", None, answer) == Err("3 replies are over the limit of 2")
    after = actor.call(0, state, "text", "where?", None)
    assert isinstance(after, Ok)
    assert after.state == state


def test_replies_refused_and_logged_alike(capfd: pytest.CaptureFixture[str]) -> None:
    """The log has each refusal twice, once for each route."""
    both = routes("probe")
    capfd.readouterr()
    both.call(None, "text", "replies")
    both.call(None, "close")
    lines = capfd.readouterr().err.split("\n")
    assert len(lines) == 7
    assert lines[:2] == lines[2:4]
    assert lines[4] == lines[5]


def test_a_backtrace_shows_the_guests_own_frames(capfd: pytest.CaptureFixture[str]) -> None:
    """A trap beneath the shim is told like any other: the shim's frames come last."""
    both = routes("probe")
    capfd.readouterr()
    both.call(None, "text", "trap")
    by_shim, by_public = capfd.readouterr().err.split("error while executing")[1:]
    frames = [line.split("-")[-1].strip() for line in by_public.splitlines() if " 0: " in line]
    assert frames
    assert frames[0] in by_shim


def test_init_goes_by_the_public_api() -> None:
    """The shim knows handle-message alone; the state that init makes is then given to it."""
    both = routes("init")
    first = both.call(None, "init", "goodness")
    assert first == Ok(b"goodness", ())
    assert both.call(b"goodness", "text", "?") == Ok(b"goodness", (Reply("text", "goodness"),))
    assert both.call(None, "init", "badness") == Err("refusing to be called badness")


def test_a_memory_limit_holds_for_the_shim_too() -> None:
    """A state that the shim has no room for is a trap, not a larger process."""
    _, actor = load(build("probe"), True, memory_bytes=32 << 20)
    assert isinstance(actor.call(0, b"\xff" * (4 << 20), "text", "echo", None), Ok)
    assert isinstance(actor.call(0, b"\xff" * (14 << 20), "text", "echo", None), Stopped)
    actor.replace_instance()
    assert isinstance(actor.call(0, b"\xff" * (4 << 20), "text", "echo", None), Ok)


def test_the_route_is_the_shims() -> None:
    """What the tests here compare is two routes."""
    _, shim = load(build("echo"), True)
    _, public = load(build("echo"), False)
    assert isinstance(shim._route, ShimRoute)
    assert not isinstance(public._route, ShimRoute)
