"""Actors end to end: a real supervisor, real workers, real WebSocket clients."""

import hashlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from trio_websocket import WebSocketConnection

from tests.integration.running import Running, ask, client, close_code, supervisor, write_manifest


def run(directory: Path, scenario: Callable[[Running], Awaitable[None]], *options: str) -> None:
    """Run a scenario against a supervisor that serves what is in `directory`."""

    async def main() -> None:
        with trio.fail_after(100):
            async with supervisor(directory, *options) as running:
                await scenario(running)

    trio.run(main)


@pytest.mark.parametrize("component", ["echo", "echo_variant"])
def test_both_shapes_of_the_interface_echo(tmp_path: Path, component: str) -> None:
    """A component of today's WIT and one of the older variant shape talk the same way."""
    write_manifest(tmp_path, "echo", component)

    async def scenario(running: Running) -> None:
        async with client(running.urls["echo"]) as one, client(running.urls["echo"]) as other:
            assert await ask(one, "grüße") == "grüße"
            assert await ask(other, b"\x00\xff") == b"\x00\xff"
            assert await ask(one, "") == ""

    run(tmp_path, scenario)


def test_replies_are_sent_in_order_and_close_ends_them(tmp_path: Path) -> None:
    """Every kind of a reply arrives as its frame; a missing payload is an empty one; connect is skipped."""
    write_manifest(tmp_path, "probe", "probe")

    async def scenario(running: Running) -> None:
        async with client(running.urls["probe"]) as connection:
            await connection.send_message("replies")
            received = [await connection.get_message() for _ in range(5)]
            assert received == ["one", "", b"", b"\x00\xff", ""]
            assert await close_code(connection) == 1000
            await running.logged("probe", "connect")

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("command", "logged"),
    [
        ("err no such room", "err on text of connection 1: no such room"),
        ("trap", "trap on text of connection 1: "),
        ("spin", "timeout on text of connection 1: "),
        ("grow", "trap on text of connection 1: "),
        ("recurse", "trap on text of connection 1: "),
        ("hog 4000", "trap on text of connection 1: "),
        ("badutf8", "trap on text of connection 1: "),
    ],
)
def test_a_failing_call_closes_its_connection_only(tmp_path: Path, command: str, logged: str) -> None:
    """The caller is closed with 1011 and a neutral reason; worker, state and the other client stay."""
    limits = "[limits]\ncall_timeout_s = 0.5\nmemory_mib = 64"
    write_manifest(tmp_path, "probe", "probe", limits)

    async def scenario(running: Running) -> None:
        async with client(running.urls["probe"]) as caller, client(running.urls["probe"]) as other:
            assert await ask(caller, "before") == "before"
            await caller.send_message(command)
            assert await close_code(caller) == 1011
            assert caller.closed is not None
            assert str(caller.closed.reason).startswith("internal error")
            assert await ask(other, "after") == "after"
            assert len(running.worker_pids("probe")) == 1
        await running.logged("probe", logged)

    run(tmp_path, scenario)


def test_killed_workers_are_not_noticed_by_clients(tmp_path: Path) -> None:
    """kill -9 with messages in flight: no connection drops, no reply is missing, doubled or out of order."""
    write_manifest(tmp_path, "counter", "counter")
    messages = [f"m{number}" for number in range(300)]

    async def scenario(running: Running) -> None:
        replies: list[str | bytes] = []
        async with client(running.urls["counter"]) as connection:

            async def send() -> None:
                for message in messages:
                    await connection.send_message(message)
                    await trio.sleep(0.002)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                for _ in messages:
                    replies.append(await connection.get_message())
                    if len(replies) in (20, 100, 200):
                        await running.kill_worker("counter")
        assert replies == [f"{number} m{number - 1}" for number in range(1, 301)]
        assert len(running.worker_pids("counter")) == 4

    run(tmp_path, scenario)


def test_a_spinning_actor_does_not_delay_another(tmp_path: Path) -> None:
    """While one actor spins, another one's clients are served."""
    write_manifest(tmp_path, "spinner", "probe", "[limits]\ncall_timeout_s = 3600")
    write_manifest(tmp_path, "echo", "echo")

    async def scenario(running: Running) -> None:
        async with client(running.urls["spinner"]) as spinner, client(running.urls["echo"]) as other:
            assert await ask(spinner, "hi") == "hi"
            await spinner.send_message("spin")
            for number in range(200):
                assert await ask(other, str(number)) == str(number)
            assert spinner.closed is None

    run(tmp_path, scenario)


def test_a_flood_on_stdout_does_not_touch_the_wire(tmp_path: Path) -> None:
    """An actor that prints 1 MiB is answered normally, and its output is bounded in its log."""
    write_manifest(tmp_path, "printer", "stdout", "[limits]\ncall_timeout_s = 30")

    async def scenario(running: Running) -> None:
        async with client(running.urls["printer"]) as connection:
            assert await ask(connection, "print") == "printed"
            assert await ask(connection, "after") == "after"
        log = await running.logged("printer", "bytes of output dropped")
        assert " O xxxx" in log
        assert len(log) < 1 << 20

    run(tmp_path, scenario)


def test_a_stopped_worker_is_found_and_replaced(tmp_path: Path) -> None:
    """A worker that hangs with a delivery in hand is killed after its deadline; the client gets its reply."""
    write_manifest(tmp_path, "counter", "counter", "[limits]\ncall_timeout_s = 0.2")

    async def scenario(running: Running) -> None:
        async with client(running.urls["counter"]) as connection:
            assert await ask(connection, "a") == "1 a"
            os.kill(running.worker_pids("counter")[-1], signal.SIGSTOP)
            assert await ask(connection, "b") == "2 b"
        assert "no answer to a delivery" in running.log("counter")

    run(tmp_path, scenario)


def test_state_survives_a_restart_of_the_supervisor(tmp_path: Path) -> None:
    """The count goes on where it was, after a clean stop and after kill -9."""
    write_manifest(tmp_path, "counter", "counter")

    async def count(running: Running) -> str | bytes:
        async with client(running.urls["counter"]) as connection:
            return await ask(connection, "x")

    async def main() -> None:
        with trio.fail_after(100):
            async with supervisor(tmp_path) as running:
                assert await count(running) == "1 x"
                assert await running.stop() == 0
            async with supervisor(tmp_path) as running:
                assert await count(running) == "2 x"
            async with supervisor(tmp_path) as running:
                assert await count(running) == "3 x"

    trio.run(main)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=lambda signum: signum.name)
def test_a_clean_stop_tells_clients_and_leaves_nothing(tmp_path: Path, signum: signal.Signals) -> None:
    """Clients are closed with 1001, the exit status is 0, and no worker is left."""
    write_manifest(tmp_path, "echo", "echo")

    async def scenario(running: Running) -> None:
        async with client(running.urls["echo"]) as connection:
            await ask(connection, "x")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_expect_code, connection, 1001)
                assert await running.stop(signum) == 0
        [pid] = running.worker_pids("echo")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert "exited 0" in running.log("echo")

    run(tmp_path, scenario)


async def _expect_code(connection: WebSocketConnection, code: int) -> None:
    assert await close_code(connection) == code


def test_workers_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    """kill -9 of the supervisor leaves no worker, not even one that spins."""
    write_manifest(tmp_path, "echo", "echo")
    write_manifest(tmp_path, "spinner", "probe", "[limits]\ncall_timeout_s = 3600")

    async def scenario(running: Running) -> None:
        pids = [await running.next_worker("echo"), await running.next_worker("spinner")]
        async with client(running.urls["spinner"]) as spinner:
            assert await ask(spinner, "hi") == "hi"
            await spinner.send_message("spin")
            await trio.sleep(0.2)
            running.process.kill()
            with trio.fail_after(10):
                while any(Path(f"/proc/{pid}").exists() for pid in pids):
                    await trio.sleep(0.05)

    run(tmp_path, scenario)


@pytest.mark.parametrize(("level", "shown"), [("debug", 1), ("info", 0)])
def test_state_hashes_are_in_the_log_at_debug_level(tmp_path: Path, level: str, shown: int) -> None:
    """Each result's line shows the SHA-256 of the state, and only when debugging."""
    write_manifest(tmp_path, "counter", "counter")

    async def scenario(running: Running) -> None:
        async with client(running.urls["counter"]) as connection:
            assert await ask(connection, "x") == "1 x"
        line = f"text ok state {hashlib.sha256(b'1').hexdigest()}"
        assert running.log("counter").count(line) == shown

    run(tmp_path, scenario, "--log-level", level)


def test_init_gives_a_first_state_once(tmp_path: Path) -> None:
    """`init` is called with the actor's name before the first event, and not again after a restart."""
    write_manifest(tmp_path, "lobby", "init")

    async def scenario(running: Running) -> None:
        async with client(running.urls["lobby"]) as connection:
            first = await ask(connection, "x")
            await running.kill_worker("lobby")
            assert await ask(connection, "x") == first
        assert running.log("lobby").count(" init ok state ") == 1

    run(tmp_path, scenario, "--log-level", "debug")


def test_a_failing_init_is_told_and_tried_again(tmp_path: Path) -> None:
    """The actor's own words are in its log, and the worker is started again with growing delays."""
    write_manifest(tmp_path, "bad-lobby", "init")

    async def scenario(running: Running) -> None:
        await running.next_worker("bad-lobby", after=2)
        await running.logged("bad-lobby", "err on init: ")
        await running.logged("bad-lobby", "init failed")

    run(tmp_path, scenario)


def test_a_guest_that_never_gives_memory_back_is_renewed_in_time(tmp_path: Path) -> None:
    """Its worker is replaced between two events before the memory limit would stop it in one."""
    state = tmp_path / "state"
    state.write_bytes(bytes(1 << 20))
    write_manifest(tmp_path, "touch", "touch_python", "[limits]\nmemory_mib = 256")
    manifest = tmp_path / "manifests" / "touch.toml"
    manifest.write_text(f'init_state = "{state}"\n{manifest.read_text()}')

    async def scenario(running: Running) -> None:
        async with client(running.urls["touch"]) as connection:
            for _ in range(300):
                await connection.send_message("x")
                await trio.sleep(1 / 30)
            await running.next_worker("touch", after=1)
            assert connection.closed is None
        log = await running.logged("touch", "to be renewed")
        assert "trap" not in log

    run(tmp_path, scenario)
