"""Long chains: what a message costs, how long a start takes and how fast `chain verify` is, by their length.

Chains are made of one connection's entries by the journal's own code, then served and verified by the real
programs. Short ones are made anew in every round, so that they stay short.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.components import build

from benchmarks.figures import Plan, Sample, Section, Target
from benchmarks.load import connect, echo_bytes, message_frame
from benchmarks.servers import Actor, load, ours, scratch
from theater_protocol.messages import Reply, Unchanged
from theater_supervisor.journal.contents import Entry, Origin
from theater_supervisor.journal.database import Database

_SHORT, _LONG, _LONGEST = 100, 100_000, 1_000_000
_REBUILT = 10_000  # chains shorter than this are made anew in every round
_BATCH = 1000
_TEXT = "sixteen bytes ok"
_AT_US = 1_700_000_000_000_000
_LOAD_SHARE = 0.5


def _name(count: int) -> str:
    return f"events{count}"


def make_chain(home: Path, count: int) -> None:
    """Write the journal of the actor of this length: one connection's texts and their echoes."""
    path = home / "var" / "data" / _name(count) / "journal.db"
    path.parent.mkdir(mode=0o700, parents=True)
    component_sha256 = hashlib.sha256(build("echo").read_bytes()).digest()
    journal = Database(path, "process-crash")
    journal.open(Origin(_name(count), component_sha256, None, _AT_US))
    text = Entry(_AT_US, "text", 1, _TEXT, "ok", (Reply("text", _TEXT),), None)
    entries = [Entry(_AT_US, "connect", 1, None, "ok", (), None), *[text] * (count - 3)]
    entries.append(Entry(_AT_US, "close", 1, None, "ok", (), None))
    for start in range(0, count - 1, _BATCH):
        journal.commit(entries[start : start + _BATCH], Unchanged())
    journal.close()


def _start_and_load(home: Path, name: str, seconds: float) -> tuple[float, float]:
    """Return the seconds from the supervisor's spawn to the first reply, and µs a message under load."""
    begun_s = time.monotonic()
    with ours(home, Actor(name)) as servers:
        with contextlib.closing(connect(servers[name].url)) as client:
            client.sendall(message_frame(len(_TEXT)))
            client.recv(echo_bytes(len(_TEXT)))
        started_s = time.monotonic() - begun_s
        return started_s, 1e6 / load(servers[name].url, "throughput", seconds)["per_s"]


def _verify_s(home: Path, name: str) -> float:
    """Return how long `theaterctl chain verify` takes."""
    program = str(Path(sys.executable).with_name("theaterctl"))
    begun_s = time.monotonic()
    command = [program, "--var", str(home / "var"), "chain", "verify", name]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun_s


def _scaling(plan: Plan) -> Iterator[Sample]:
    longest = _LONGEST if plan.full else _LONG
    with contextlib.ExitStack() as stack:
        homes = {count: stack.enter_context(scratch()) for count in (0, _SHORT, 10_000, longest)}
        for number in range(plan.rounds):
            for count, home in homes.items():
                if number == 0 or count <= _REBUILT:
                    shutil.rmtree(home / "var", ignore_errors=True)
                    if count:
                        make_chain(home, count)
            os.sync()  # what was written above is not to be paid for below
            if number == 0:
                yield from _verify(homes[_SHORT], homes[longest], longest, plan.rounds)
            for count, home in homes.items():
                started_s, us = _start_and_load(home, _name(count), plan.seconds * _LOAD_SHARE)
                yield Sample(f"start to first reply, {count:,} events", started_s * 1e3, "ms")
                if count:
                    yield Sample(f"a message after {count:,} events", us, "µs")


def _verify(short: Path, long: Path, count: int, rounds: int) -> Iterator[Sample]:
    for _ in range(rounds):
        took_s = _verify_s(long, _name(count)) - _verify_s(short, _name(_SHORT))
        yield Sample("chain verify, less that of a short chain", count / took_s, "events/s")


def _targets(longest: int) -> tuple[Target, ...]:
    return (
        Target(f"a message after {longest:,} events", 1.1, over=f"a message after {_SHORT:,} events"),
        Target(f"start to first reply, {longest:,} events", 1.2, over="start to first reply, 0 events"),
    )


SCALING = Section(
    "scaling",
    f"Chains of {_SHORT:,} events up to {_LONG:,}, or {_LONGEST:,} with --full.",
    _scaling,
    (
        *_targets(_LONG),
        *_targets(_LONGEST),
        Target("chain verify, less that of a short chain", 100_000, at_least=True),
    ),
)
