"""Hostile clients in numbers against a real supervisor, with a good client beside them.

After each attack: the good client was served in order all along, the supervisor lives, its memory, tasks and
descriptors are back, and its log has no failure. How long it takes is measured in benchmarks/, not here.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.faults.counts import repeats
from tests.faults.gateway_attacks import ATTACKS, MIB, Attack, let_loose, raw
from tests.integration.running import Running, ask, client, supervisor, write_manifest
from tests.integration.test_handshakes import HOSTILE
from theater_supervisor.ctl import client as control
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.process.containment import resident_bytes

pytestmark = pytest.mark.campaign

KEPT_BYTES = 32 * MIB
CONNECTION_BYTES = 48 * 1024  # what an open one takes by itself


@dataclass(frozen=True)
class Held:
    """What a supervisor has: tasks of its event loop, descriptors, resident memory."""

    tasks: int
    descriptors: int
    memory_bytes: int

    @classmethod
    async def by(cls, running: Running) -> "Held":
        """Ask the supervisor, whose answer counts what answering takes, and look at its process."""
        reply = await trio.to_thread.run_sync(control.ask, running.var, "status")
        descriptors = len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))
        return cls(reply.items[0]["tasks"], descriptors, reply.items[0]["rss_bytes"])


async def until_back(running: Running, before: Held) -> None:
    """Wait until no task and no descriptor is left of an attack, and at most a part of the memory."""
    held = before
    with trio.move_on_after(HandshakeLimits().timeout_s):
        while True:
            held = await Held.by(running)
            if (
                held.tasks <= before.tasks
                and held.descriptors <= before.descriptors
                and held.memory_bytes <= before.memory_bytes + KEPT_BYTES
            ):
                return
            await trio.sleep(0.05)
    pytest.fail(f"{held} instead of {before}")


async def good_client(url: str, stop: trio.Event) -> int:
    """Ask and be answered, in order, until it is over; return how often."""
    count = 0
    async with client(url) as good:
        while not stop.is_set() or not count:
            assert await ask(good, f"message {count}") == f"message {count}"
            count += 1
    return count


def assert_unharmed(running: Running) -> None:
    """The supervisor lives and logged no failure."""
    assert running.process.returncode is None
    assert not [entry for entry in running.events() if entry["level"] in ("error", "critical")]


@pytest.mark.parametrize(
    ("attack", "count", "at_once"), ATTACKS, ids=[attack.__name__ for attack, _, _ in ATTACKS]
)
def test_an_attack_leaves_the_others_served_and_nothing_behind(
    attack: Attack, count: int, at_once: int, tmp_path: Path
) -> None:
    """Memory grows by less than 64 MiB while it lasts and comes back, and so does everything else.

    A thousand connections at a time may have what they take by themselves on top.
    """
    write_manifest(tmp_path, "echo", "echo", compression=True)

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            url = running.urls["echo"]
            async with client(url) as first:
                # Large: with the first such event the journal opens a file for them, and keeps it open.
                await ask(first, "warm" * 20_000)
            before = await Held.by(running)
            peak_bytes = [before.memory_bytes]
            over = trio.Event()

            async def watch() -> None:
                while not over.is_set():
                    peak_bytes.append(resident_bytes(running.process.pid) or 0)
                    await trio.sleep(0.02)

            async with trio.open_nursery() as beside:
                beside.start_soon(good_client, url, over)
                beside.start_soon(watch)
                await let_loose(attack.__name__, url, repeats(count))
                over.set()
            crowd = at_once if at_once > 500 else 0
            assert max(peak_bytes) - before.memory_bytes < 64 * MIB + crowd * CONNECTION_BYTES
            await until_back(running, before)
            assert_unharmed(running)
            async with client(url) as last:
                assert await ask(last, "still there?") == "still there?"

    trio.run(main)


def pieces_of(sent: bytes) -> Iterator[bytes]:
    """What had been sent when the reset came: after each line, or in eighths where there are none."""
    lines = sent[:20_000].splitlines(keepends=True)
    if len(lines) <= 1 or len(lines) > 20:
        step = max(1, len(sent) // 8)
        lines = [sent[at : at + step] for at in range(0, len(sent), step)]
    for count in range(len(lines) + 1):
        yield b"".join(lines[:count])


def test_hostile_handshakes_reset_after_each_step_leave_nothing(tmp_path: Path) -> None:
    """Every entry of the corpus, reset after every line of it."""
    assert len(HOSTILE) >= 60
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            url = running.urls["echo"]
            async with client(url) as first:
                await ask(first, "warm")
            before = await Held.by(running)
            async with client(url) as good:
                for sent, _ in HOSTILE.values():
                    for piece in pieces_of(sent):
                        with suppress(trio.BrokenResourceError):
                            async with raw(url) as attacker:
                                await attacker.send(piece)
                    assert await ask(good, "still there?") == "still there?"
            await until_back(running, before)
            assert_unharmed(running)

    trio.run(main)


CORPUS = [sent for sent, _ in HOSTILE.values() if len(sent) < 4096]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A handshake of the corpus with some bytes changed, left out, doubled or put in."""
    sent = bytearray(draw(st.sampled_from(CORPUS)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(sent)))
        match draw(st.sampled_from(["change", "drop", "double", "insert", "cut"])):
            case "change":
                sent[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "drop":
                del sent[at : at + draw(st.integers(1, 20))]
            case "double":
                sent[at:at] = sent[at : at + draw(st.integers(1, 40))]
            case "insert":
                sent[at:at] = draw(
                    st.sampled_from([b"\r\n", b"\n", b"\0", b":", b" ", b"\xff", b"\r\n\r\n", b","])
                )
            case "cut":
                del sent[at:]
    return bytes(sent)


def test_mutated_handshakes_harm_nobody(tmp_path: Path) -> None:
    """Whatever is sent, it is answered or dropped; the supervisor logs no failure. Seeds are printed."""
    write_manifest(tmp_path, "echo", "echo")
    inputs: list[bytes] = []

    @settings(
        max_examples=repeats(10_000),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated())
    def collect(sent: bytes) -> None:
        note(repr(sent))
        inputs.append(sent)

    collect()

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            url = running.urls["echo"]
            async with client(url) as first:
                await ask(first, "warm")
            before = await Held.by(running)
            places = trio.CapacityLimiter(32)

            async def one(sent: bytes) -> None:
                async with places:
                    with suppress(trio.BrokenResourceError), trio.move_on_after(0.2):
                        async with raw(url) as attacker:
                            await attacker.send(sent)
                            await attacker.eof()
                            await attacker.rest()

            over = trio.Event()
            async with trio.open_nursery() as beside:
                beside.start_soon(good_client, url, over)
                async with trio.open_nursery() as nursery:
                    for sent in inputs:
                        nursery.start_soon(one, sent)
                over.set()
            await until_back(running, before)
            assert_unharmed(running)

    trio.run(main)
