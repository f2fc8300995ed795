"""The restart policy with real processes: every way to end is told apart, and what follows happens."""

import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from tests.faults.actor_rig import PATIENCE_S, Remembering, running_actor
from tests.integration.running import ask, client, close_code, supervisor, write_manifest
from theater_protocol.chain import decode
from theater_protocol.messages import Limits
from theater_supervisor.actor.actor import Actor
from theater_supervisor.actor.spec import ActorSpec, Deadlines
from theater_supervisor.journal.reader import read
from theater_supervisor.journal.verify import verify
from theater_supervisor.manifest.tables import RestartPolicy
from theater_supervisor.process.exit import (
    CannotStart,
    ExitClass,
    Exited,
    Hung,
    InitFailed,
    ProtocolBroken,
    Signalled,
    StartTimeout,
    Stopped,
)

SMALL_WORKER = Path(__file__).with_name("small_worker.py")
DEADLINES = Deadlines(start_s=2, answer_s=0.4, stop_s=0.3, exit_s=0.3)


def policy(**settings: object) -> RestartPolicy:
    """A policy with short delays."""
    return RestartPolicy.model_validate({"backoff_initial_s": 0.01, "backoff_max_s": 0.01} | settings)


def spec(fault: str, restart: RestartPolicy, *files: Path) -> ActorSpec:
    """An actor whose workers go wrong: as often as there are files, or always."""
    for file in files:
        file.touch()
    return ActorSpec(
        "small",
        "-",
        bytes(32),
        Limits(1, 1),
        DEADLINES,
        restart=restart,
        command=(sys.executable, str(SMALL_WORKER), fault, *map(str, files)),
    )


def run(directory: Path, actor_spec: ActorSpec, scenario: Callable[[Actor], Awaitable[None]]) -> None:
    """Run a scenario with an actor that keeps its journal and log in `directory`."""

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with running_actor(directory, actor_spec) as actor:
                await scenario(actor)

    trio.run(main)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.005)


def kinds(directory: Path) -> list[str]:
    """The kinds of the chain's transitions, after checking that it verifies."""
    assert verify(directory / "journal.db").fault is None
    with read(directory / "journal.db") as reader:
        return [decode(body).kind for _, _, body in reader.rows()]


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("exit 0", Exited(0)),
        ("exit 3", Exited(3)),
        ("SIGKILL", Signalled(signal.SIGKILL)),
        ("SIGSEGV", Signalled(signal.SIGSEGV)),
        ("SIGSTOP", Hung(0.4)),
        ("silence", Hung(0.4)),
        ("nonsense", ProtocolBroken("unexpected end of CBOR")),
        ("closed pipe", ProtocolBroken("its pipe ended, but it did not")),
        ("start exit 3", Exited(3)),
        ("start silence", StartTimeout(2)),
        ("start nonsense", ProtocolBroken("unexpected end of CBOR")),
        ("init", InitFailed("no room")),
    ],
)
def test_a_way_to_end_is_told_and_the_next_worker_answers(tmp_path: Path, fault: str, how: ExitClass) -> None:
    """The exit has its class, its record says what was in hand and its last line, the client its reply."""

    async def scenario(actor: Actor) -> None:
        one = Remembering()
        connection = actor.connect(one)
        if not fault.startswith(("start", "init")):
            await until(lambda: actor.outcomes["ok"] == 1)
        actor.receive(connection, "text", "hello")
        assert await one.has(1) == ["hello"]
        assert one.ended is None
        [record] = actor.lifecycle.exits
        assert type(record.exit.how) is type(how)
        if not isinstance(how, ProtocolBroken):
            assert record.exit.how == how
        assert (record.incarnation, record.then) == (1, "restart at once")
        assert actor.lifecycle.exit_counts == {how.label: 1}
        if not fault.startswith(("start", "init")):
            assert record.in_hand == "text of connection 1 (delivery 2)"
            assert any(line.endswith(f" E going wrong: {fault}") for line in record.lines)
        assert record.lines[0].endswith(f" S spawned pid {record.exit.pid}")

    run(tmp_path, spec(fault, policy(), tmp_path / "once"), scenario)


def test_a_host_that_cannot_start_workers_is_not_the_actors_fault(tmp_path: Path) -> None:
    """It is tried again and again, nothing counts, and once it works the client gets its reply."""
    command = tmp_path / "worker"

    async def scenario(actor: Actor) -> None:
        one = Remembering()
        actor.receive(actor.connect(one), "text", "hello")
        await until(lambda: actor.lifecycle.exit_counts["cannot_start"] >= 3)
        assert actor.lifecycle.state in ("waiting", "starting")
        assert isinstance(actor.lifecycle.exits[-1].exit.how, CannotStart)
        command.with_suffix(".tmp").write_text(f"#!/bin/sh\nexec {sys.executable} {SMALL_WORKER} -\n")
        command.with_suffix(".tmp").chmod(0o755)
        command.with_suffix(".tmp").rename(command)
        assert await one.has(1) == ["hello"]
        assert one.ended is None

    run(tmp_path, replace(spec("-", policy(intensity=0)), command=(str(command),)), scenario)


@pytest.mark.parametrize(
    ("type_", "fault", "state"),
    [
        ("transient", "exit 0", "ended"),
        ("transient", "exit 3", "ready"),
        ("temporary", "exit 0", "ended"),
        ("temporary", "SIGKILL", "ended"),
    ],
)
def test_the_restart_type_decides_whether_there_is_a_next_worker(
    tmp_path: Path, type_: str, fault: str, state: str
) -> None:
    """Without one clients are told so, until the operator starts the actor again."""

    async def scenario(actor: Actor) -> None:
        one, other = Remembering(), Remembering()
        actor.receive(actor.connect(one), "text", "hello")
        await until(lambda: len(actor.lifecycle.exits) == 1)
        await until(lambda: actor.lifecycle.state == state)
        if state == "ready":
            assert await one.has(1) == ["hello"]
            return
        assert await one.is_ended() == 1013
        assert actor.retry_after_s == 5
        actor.restart_worker()
        await until(lambda: actor.lifecycle.state == "ready")
        actor.receive(actor.connect(other), "text", "again")
        assert await other.has(1) == ["again"]

    run(tmp_path, spec(fault, policy(policy=type_), tmp_path / "once"), scenario)


def test_an_actor_that_dies_too_often_is_held_and_probed(tmp_path: Path) -> None:
    """Clients are closed 1013 and refused, their events dropped; each committed connect gets its close."""
    deaths = [tmp_path / f"death{number}" for number in range(2)]

    async def scenario(actor: Actor) -> None:
        one, refused, later = Remembering(), Remembering(), Remembering()
        connection = actor.connect(one)
        actor.receive(connection, "text", "deadly")
        assert await one.is_ended() == 1013
        assert actor.lifecycle.state == "held"
        assert actor.lifecycle.exits[-1].then == "hold, and probe in 300 s"
        assert 295 < (actor.retry_after_s or 0) <= 300
        actor.connect(refused)
        assert await refused.is_ended() == 1013
        actor.receive(connection, "text", "too late")
        actor.disconnect(connection)
        actor.restart_worker()
        await until(lambda: actor.lifecycle.state == "ready")
        connection = actor.connect(later)
        actor.receive(connection, "text", "hello")
        assert await later.has(1) == ["hello"]
        actor.disconnect(connection)

    run(tmp_path, spec("SIGKILL", policy(intensity=1), *deaths), scenario)
    assert kinds(tmp_path).count("text") == 1
    assert kinds(tmp_path).count("connect") == kinds(tmp_path).count("close") == 2


def test_a_held_actor_probes_itself(tmp_path: Path) -> None:
    """After held_probe_s a worker is tried: a bad one lets nobody in, a good one ends the hold."""
    deaths = [tmp_path / f"death{number}" for number in range(3)]

    async def scenario(actor: Actor) -> None:
        await until(lambda: actor.lifecycle.exit_counts["exited"] >= 1)
        assert actor.retry_after_s == 1
        await until(lambda: actor.lifecycle.state == "ready")
        assert actor.retry_after_s is None
        assert [record.then for record in actor.lifecycle.exits] == ["hold, and probe in 0.1 s"] * 3

    run(tmp_path, spec("start exit 3", policy(intensity=0, held_probe_s=0.1), *deaths), scenario)


def test_reset_forgets_the_deaths_and_ends_the_hold(tmp_path: Path) -> None:
    """The actor starts at once, and has its whole intensity again."""
    deaths = [tmp_path / f"death{number}" for number in range(3)]

    async def scenario(actor: Actor) -> None:
        await until(lambda: actor.lifecycle.state == "held")
        assert actor.lifecycle.exit_counts["exited"] == 2
        actor.reset()
        assert actor.lifecycle.deaths_in_period == 0
        await until(lambda: actor.lifecycle.state == "ready")
        assert actor.lifecycle.deaths_in_period == 1

    run(tmp_path, spec("start exit 3", policy(intensity=1), *deaths), scenario)


def test_a_close_that_kills_is_quarantined_from_probe_to_probe(tmp_path: Path) -> None:
    """A held actor gets rid of an event that its probes die on, though nobody is connected."""
    restart = policy(intensity=0, held_probe_s=0.01)

    async def scenario(actor: Actor) -> None:
        one = Remembering()
        actor.disconnect(actor.connect(one))
        await until(
            lambda: actor.lifecycle.state == "ready" and actor.lifecycle.exit_counts["signalled"] == 3
        )

    run(tmp_path, spec("close SIGKILL", restart), scenario)
    assert kinds(tmp_path).count("close") == 1


def test_the_operator_replaces_a_worker_unnoticed(tmp_path: Path) -> None:
    """Under load nothing is lost, doubled or counted, and the connection stays."""
    messages = [f"m{number}" for number in range(400)]

    async def scenario(actor: Actor) -> None:
        one = Remembering()
        connection = actor.connect(one)
        for number, message in enumerate(messages):
            with trio.fail_after(PATIENCE_S):
                await actor.room(connection, 0)
            actor.receive(connection, "text", message)
            if number in (0, 50, 200, 300):
                await until(lambda: actor.lifecycle.state == "ready")
                actor.restart_worker()
                await until(lambda: actor.lifecycle.state != "ready")
        assert await one.has(len(messages)) == messages
        assert one.ended is None
        assert actor.lifecycle.deaths_in_period == 0
        await until(lambda: actor.lifecycle.exit_counts == {"stopped": 4})

    run(tmp_path, spec("none", policy(intensity=0)), scenario)


def test_pause_closes_connections_and_resume_serves_again(tmp_path: Path) -> None:
    """Clients get 1001 and the actor their closes, then there is no worker and nobody is let in."""

    async def scenario(actor: Actor) -> None:
        one, refused, later = Remembering(), Remembering(), Remembering()
        connection = actor.connect(one)
        actor.receive(connection, "text", "hello")
        assert await one.has(1) == ["hello"]
        actor.pause()
        assert await one.is_ended() == 1001
        actor.disconnect(connection)
        await until(lambda: actor.worker_pid is None and len(actor.lifecycle.exits) == 1)
        assert (actor.lifecycle.state, actor.retry_after_s) == ("stopped", 5)
        assert actor.lifecycle.exits[0].exit.how == Stopped()
        assert kinds(tmp_path)[-1] == "close"
        actor.connect(refused)
        assert await refused.is_ended() == 1013
        actor.resume()
        connection = actor.connect(later)
        actor.receive(connection, "text", "again")
        assert await later.has(1) == ["again"]
        actor.disconnect(connection)
        assert actor.lifecycle.deaths_in_period == 0

    run(tmp_path, spec("none", policy(intensity=0)), scenario)
    assert kinds(tmp_path).count("connect") == kinds(tmp_path).count("close") == 2


@pytest.mark.parametrize(
    ("fault", "signum"), [("deaf to Stop", signal.SIGTERM), ("deaf to SIGTERM", signal.SIGKILL)]
)
def test_a_worker_that_does_not_stop_is_made_to(tmp_path: Path, fault: str, signum: signal.Signals) -> None:
    """After stop_timeout_s comes SIGTERM, then SIGKILL; it is no death that counts."""

    async def scenario(actor: Actor) -> None:
        await until(lambda: actor.lifecycle.state == "ready")
        actor.restart_worker()
        await until(lambda: len(actor.lifecycle.exits) == 1)
        [record] = actor.lifecycle.exits
        assert record.exit.how == Stopped(forced=True)
        assert f" S exited {signum.name} after " in record.lines[-1]
        assert actor.lifecycle.deaths_in_period == 0

    run(tmp_path, spec(fault, policy(intensity=0), tmp_path / "once"), scenario)


def test_workers_start_a_few_at_a_time(tmp_path: Path) -> None:
    """Of 12 actors that start at once no more than 2 have a worker that is not ready yet."""

    async def main() -> None:
        starts = trio.CapacityLimiter(2)
        with trio.fail_after(PATIENCE_S):
            async with contextlib.AsyncExitStack() as stack:
                for number in range(12):
                    directory = tmp_path / str(number)
                    directory.mkdir()
                    actor_spec = spec(f"census {tmp_path}", policy())
                    await stack.enter_async_context(running_actor(directory, actor_spec, starts=starts))
                await until(lambda: len(list(tmp_path.glob("census-*"))) == 12)

    trio.run(main)
    assert {int(note.read_text()) for note in tmp_path.glob("census-*")} <= {1, 2}


def test_holding_one_actor_leaves_the_others_alone(tmp_path: Path) -> None:
    """Its handshakes get 503 with Retry-After; the other actor's connection does not notice."""
    write_manifest(tmp_path, "weak", "echo", "[restart]\nintensity = 0\nheld_probe_s = 120")
    write_manifest(tmp_path, "sound", "echo")

    async def main() -> None:
        async with (
            supervisor(tmp_path) as running,
            client(running.urls["weak"]) as weak,
            client(running.urls["sound"]) as sound,
        ):
            assert await ask(weak, "a") == "a"
            os.kill(running.worker_pids("weak")[-1], signal.SIGKILL)
            assert await close_code(weak) == 1013
            status, retry_after_s = await trio.to_thread.run_sync(try_handshake, running.urls["weak"])
            assert status == 503
            assert 110 < retry_after_s <= 120
            assert await ask(sound, "b") == "b"

    trio.run(main)


def test_a_critical_actor_that_is_held_ends_the_supervisor(tmp_path: Path) -> None:
    """Exit status 80, as for every clean stop: the other clients get 1001."""
    write_manifest(tmp_path, "vital", "echo", "[restart]\nintensity = 0\ncritical = true")
    write_manifest(tmp_path, "other", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running, client(running.urls["other"]) as other:
            assert await ask(other, "a") == "a"
            os.kill(await running.next_worker("vital"), signal.SIGKILL)
            assert await close_code(other) == 1001
            with trio.fail_after(PATIENCE_S):
                assert await running.process.wait() == 80

    trio.run(main)


def try_handshake(url: str) -> tuple[int, int]:
    """Ask for a WebSocket; return the status and Retry-After."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", "/", headers=headers)
        response = connection.getresponse()
        return response.status, int(response.headers["Retry-After"])
