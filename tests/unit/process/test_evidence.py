"""How a worker ended, told from what is known of it."""

import signal

import pytest

from theater_supervisor.journal.store import JournalFailed
from theater_supervisor.process.evidence import Evidence, is_blamable, last_words
from theater_supervisor.process.exit import (
    ExitClass,
    Exited,
    Hung,
    InitFailed,
    MemoryExceeded,
    OutOfMemory,
    ProtocolBroken,
    ResultsNotStored,
    SandboxViolated,
    Signalled,
    Stopped,
)

HUNG = Hung(7.0)
GROWN = MemoryExceeded(2, 1)
CAUSES: list[tuple[Evidence, ExitClass]] = [
    (Evidence(None, 0), Exited(0)),
    (Evidence(None, 65), Exited(65)),
    (Evidence(None, 0, told_to_stop=True), Stopped()),
    (Evidence(None, 3, told_to_stop=True), Exited(3)),
    (Evidence(None, -9, told_to_stop=True), Signalled(9)),
    (Evidence(None, -9, signalled=True, told_to_stop=True), Stopped(forced=True)),
    (Evidence(Stopped(forced=True), -15, signalled=True, told_to_stop=True), Stopped(forced=True)),
    (Evidence(None, -9, signalled=True), ProtocolBroken("its pipe ended, but it did not")),
    (Evidence(None, None, signalled=True), ProtocolBroken("its pipe ended, but it did not")),
    (Evidence(None, -9), Signalled(9)),
    (Evidence(None, -9, memory_killing=True), OutOfMemory()),
    (Evidence(None, -9, memory_killing=True, group_limit_bytes=5 << 20), OutOfMemory(5 << 20)),
    (Evidence(None, -9, group_limit_bytes=5 << 20), Signalled(9)),
    (Evidence(None, -11, memory_killing=True), Signalled(11)),
    (Evidence(HUNG, -9, signalled=True, memory_killing=True), HUNG),
    (Evidence(HUNG, None, signalled=True), HUNG),
    (Evidence(None, 0, told_to_stop=True, over_memory=GROWN), GROWN),
    (Evidence(HUNG, -9, signalled=True, over_memory=GROWN), HUNG),
    (Evidence(None, -signal.SIGSYS), SandboxViolated()),
    (Evidence(ProtocolBroken("half a frame"), -signal.SIGSYS), SandboxViolated()),
]


@pytest.mark.parametrize(("evidence", "how"), CAUSES)
def test_the_evidence_has_one_cause(evidence: Evidence, how: ExitClass) -> None:
    """The supervisor's own reason before its consequences, and nobody's fault before the worker's."""
    assert evidence.cause() == how


def test_a_delivery_is_blamed_only_for_what_it_can_have_done() -> None:
    """Not for a stop, a failing init or a full disk."""
    causes = [how for _, how in CAUSES] + [InitFailed("no"), ResultsNotStored(JournalFailed("full"))]
    innocent = {type(how) for how in causes if not is_blamable(how)}
    assert innocent == {Stopped, InitFailed, ResultsNotStored}


@pytest.mark.parametrize(
    ("returncode", "how", "was_ready", "words"),
    [
        (0, Stopped(), True, "exited 0 after 3.2 s"),
        (-9, Signalled(9), True, "exited SIGKILL after 3.2 s"),
        (-63, Signalled(63), True, "exited signal 63 after 3.2 s"),
        (65, Exited(65), False, "exited 65 after 3.2 s, before it was ready"),
        (-9, HUNG, True, "exited SIGKILL after 3.2 s: no answer to a delivery for 7 s"),
        (
            *(-9, OutOfMemory(640 << 20), True),
            "exited SIGKILL after 3.2 s: killed by the kernel: out of memory,"
            " of which its control group may have 640 MiB",
        ),
        (None, HUNG, True, "still there after 3.2 s: no answer to a delivery for 7 s"),
    ],
)
def test_the_last_words_say_how_and_why(
    returncode: int | None, how: ExitClass, was_ready: bool, words: str
) -> None:
    """As they stand in the actor's log."""
    assert last_words(returncode, how, 3.2, was_ready=was_ready) == words
