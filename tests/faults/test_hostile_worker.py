"""Workers that lie, flood, hang or leave their sandbox: the supervisor and the actor go on."""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from tests.faults.actor_rig import Remembering, compiled, running_actor
from tests.faults.hostile_worker import BREAKING, HANGING
from tests.sandboxed import needs_level
from theater_protocol.messages import Limits
from theater_supervisor.actor.actor import Actor
from theater_supervisor.actor.spec import ActorSpec, Deadlines
from theater_supervisor.manifest.tables import RestartPolicy
from theater_supervisor.process.containment import Containment

HOSTILE_WORKER = Path(__file__).with_name("hostile_worker.py")
ROOT = HOSTILE_WORKER.parents[2]
MAX_GROWTH_BYTES = 32 << 20
PATIENT = Deadlines(answer_s=30.0)
IMPATIENT = Deadlines(answer_s=2.0)

# A worker whose guest has become native code: its first call forks.
FORKING = """
import os
from theater_worker import __main__ as worker
from theater_worker.component import ActorComponent
ActorComponent.call = lambda *_: os.fork()
import os
os._exit(worker.main())  # as a worker ends: what it gave up is not there for an interpreter to end with
"""
# A worker that keeps more and more, but answers.
LEAKING = """
from theater_worker import __main__ as worker
from theater_worker.component import ActorComponent
call, kept = ActorComponent.call, []
def leaking(self, *event):
    # More would run into the worker's own bound, and end it before anyone has looked.
    if len(kept) * LEAK < 600:
        kept.append(b"x" * (LEAK << 20))
    return call(self, *event)
ActorComponent.call = leaking
import os
os._exit(worker.main())  # as a worker ends: what it gave up is not there for an interpreter to end with
"""


def hostile(attack: str, directory: Path, times: int) -> tuple[str, ...]:
    """The command of a worker that attacks so many times, and is honest after that."""
    charges = [directory / f"charge{number}" for number in range(times)]
    for charge in charges:
        charge.touch()
    # Workers get none of this process's environment, so the count goes with the command.
    program = (
        f"import os, runpy, sys; os.environ['THEATER_FAULTS'] = {os.environ.get('THEATER_FAULTS', '')!r}"
    )
    program += f"; sys.path.insert(0, {str(ROOT)!r}); sys.argv = sys.argv[1:]"
    program += "; runpy.run_path(sys.argv[0], run_name='__main__')"
    return (sys.executable, "-c", program, str(HOSTILE_WORKER), attack, *map(str, charges))


def spec(**changes: object) -> ActorSpec:
    """A counter whose answers are small and whose workers are replaced at once."""
    policy = RestartPolicy(backoff_initial_s=0.0, intensity=1000)
    limits = Limits(5_000_000, 1 << 28, max_state_bytes=4 << 20, max_reply_bytes=4 << 20)
    usual = replace(compiled("counter"), restart=policy, limits=limits, deadlines=PATIENT)
    return replace(usual, **changes)  # type: ignore[arg-type]


def forget_peak() -> int:
    """Begin a new measurement of this process's peak memory; return what it has now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """The most memory this process has had since forget_peak."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


async def ask_twice(actor: Actor) -> Remembering:
    """Connect and send a message; return the client once it has its answer."""
    client = Remembering()
    connection = actor.connect(client)
    actor.receive(connection, "text", "hello")
    assert await client.has(1) == ["1 hello"]
    actor.disconnect(connection)
    return client


@pytest.mark.parametrize(
    ("attack", "label"),
    [(attack, "protocol_broken") for attack in BREAKING] + [(attack, "hung") for attack in HANGING],
)
def test_an_attack_costs_the_worker_and_nothing_else(tmp_path: Path, attack: str, label: str) -> None:
    """The worker is ended for what it did, memory stays bounded, and an honest worker answers the client."""

    async def main() -> None:
        before = forget_peak()
        deadlines = IMPATIENT if label == "hung" else PATIENT
        command = hostile(attack, tmp_path, 1)
        async with running_actor(tmp_path, spec(command=command, deadlines=deadlines)) as actor:
            client = await ask_twice(actor)
            assert client.ended is None
            # The honest worker after it may be slow on a busy machine; it attacks nobody.
            assert {record.exit.how.label for record in actor.lifecycle.exits} == {label}
        assert peak() - before < MAX_GROWTH_BYTES

    trio.run(main)
    log = (tmp_path / "actor.log").read_bytes()
    assert not re.search(rb"[\x00-\x08\x0b-\x1f]", log)


@needs_level(1)
def test_a_worker_that_leaves_its_sandbox_is_held(tmp_path: Path) -> None:
    """SIGSYS is an attack, not a crash: said as such, clients are turned away, no second try."""

    async def main() -> None:
        async with running_actor(tmp_path, spec(command=(sys.executable, "-c", FORKING))) as actor:
            client = Remembering()
            actor.connect(client)
            assert await client.is_ended() == 1013
            assert [record.exit.how.label for record in actor.lifecycle.exits] == ["sandbox_violated"]
            assert actor.lifecycle.state == "held"
            assert actor.lifecycle.next_try_s is None

    trio.run(main)
    assert "exited SIGSYS" in (tmp_path / "actor.log").read_text()


@pytest.mark.parametrize(("leak_mib", "limit_mib"), [(50, 100), (300, 100)], ids=["over", "far over"])
def test_a_worker_that_grows_is_replaced(tmp_path: Path, leak_mib: int, limit_mib: int) -> None:
    """Over rss_mib the worker is ended, whether it can finish or not; the client keeps its connection."""

    async def main() -> None:
        containment = Containment(rss_bytes=limit_mib << 20)
        command = (sys.executable, "-c", LEAKING.replace("LEAK", str(leak_mib)))
        async with running_actor(tmp_path, spec(command=command, containment=containment)) as actor:
            client = Remembering()
            connection = actor.connect(client)
            with trio.fail_after(60):
                for number in range(1, 1000):
                    actor.receive(connection, "text", "more")
                    await client.has(number)
                    if actor.lifecycle.exits:
                        break
                    await trio.sleep(0.2)
            assert [record.exit.how.label for record in actor.lifecycle.exits] == ["memory_exceeded"]
            assert client.ended is None
            actor.disconnect(connection)

    trio.run(main)


@needs_level(1)
def test_a_worker_below_the_required_level_is_not_used(tmp_path: Path) -> None:
    """One that says it has no sandbox is ended before it gets an event."""
    program = "import theater_worker.sandbox.seccomp as s; s.install = lambda *_: False\n"
    program += "from theater_worker import __main__ as worker; import os; os._exit(worker.main())"

    async def main() -> None:
        changed = spec(command=(sys.executable, "-c", program), containment=Containment(sandbox_required=2))
        async with running_actor(tmp_path, changed) as actor:
            with trio.fail_after(30):
                while not actor.lifecycle.exits:
                    await trio.sleep(0.01)
            reason = str(actor.lifecycle.exits[0].exit)
            assert reason == "broke the protocol: ready at sandbox level 0, 2 is required"

    trio.run(main)
