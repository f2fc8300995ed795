"""theaterctl on a running supervisor: what each command shows, changes and ends with."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from tests.components import build
from tests.integration.running import Running, ask, client, close_code, supervisor, write_manifest
from tests.integration.theaterctl import actor, complaint, objects, output, until_ready
from tests.sandboxed import probe
from theater_supervisor.ctl.client import ask as ask_supervisor

TIME_LIMIT_S = 100


def run(directory: Path, scenario: Callable[[Running], Awaitable[None]], *actors: str) -> None:
    """Run a scenario against a supervisor with these actors, all of them ready."""
    for name in actors:
        write_manifest(directory, name, name)

    async def main() -> None:
        with trio.fail_after(TIME_LIMIT_S):
            async with supervisor(directory) as running:
                await until_ready(running.var)
                await scenario(running)

    trio.run(main)


def test_looking(tmp_path: Path) -> None:
    """Status, connections and explanations show what is; unknown names are met with the nearest one."""

    async def scenario(running: Running) -> None:
        var = running.var
        async with client(running.urls["counter"]) as connection:
            assert await ask(connection, "a") == "1 a"
            assert await ask(connection, "b") == "2 b"
            seen = await actor(var, "counter")
            assert (seen["state"], seen["ready"], seen["connections"]) == ("ready", True, 1)
            assert (seen["received"], seen["sent"], seen["seq"], seen["queue"]) == (2, 2, 4, 0)
            assert seen["pid"] == running.worker_pids("counter")[0]
            assert seen["rss_bytes"] > 1_000_000
            assert seen["sandbox_level"] == probe()["level"]
            (one,) = await objects(var, "conns", "counter")
            assert (one["actor"], one["connection"], one["messages_in"], one["messages_out"]) == (
                *("counter", 1, 2, 2),
            )
            assert one["remote"].startswith("127.0.0.1:")
        table = await output(var, "status")
        assert table.startswith(f"theater-supervise 0.1.0 is serving, pid {running.process.pid}, up ")
        assert [line.split()[:2] for line in table.splitlines()[2:]] == [
            ["counter", "ready"],
            ["echo", "ready"],
        ]
        assert "did you mean 'counter'?" in await complaint(var, "status", "conter", status=4)
        assert "did you mean 'echo'?" in await complaint(var, "crash", "ecko", status=4)
        name, past, now = (await output(var, "explain", "echo")).splitlines()
        assert (name, past) == (
            "echo is ready",
            "  none of its workers has ended since the supervisor was started",
        )
        assert now.startswith("  now: worker echo/1 serves, since ")

    run(tmp_path, scenario, "counter", "echo")


def test_crash_and_explain(tmp_path: Path) -> None:
    """A simulated crash costs a client nothing; what it was, and what followed, is told."""

    async def scenario(running: Running) -> None:
        var = running.var
        async with client(running.urls["counter"]) as connection:
            assert await ask(connection, "a") == "1 a"
            (pid,) = running.worker_pids("counter")
            assert await output(var, "crash", "counter") == f"counter: killed pid {pid}\n"
            assert await ask(connection, "b") == "2 b"
        (told,) = await objects(var, "explain", "counter")
        (end,) = told["exits"]
        assert (end["class"], end["how"], end["pid"]) == ("signalled", "killed by SIGKILL", pid)
        assert (end["incarnation"], end["then"]) == (1, "restart at once")
        assert end["lines"][0].endswith(f"counter/1 S spawned pid {pid}")
        assert (told["restarts"], told["restarts_in_period"], told["incarnation"]) == (1, 1, 2)
        text = await output(var, "explain", "counter")
        assert f"worker counter/1, pid {pid}: killed by SIGKILL" in text
        assert "then: restart at once" in text
        assert (await actor(var, "counter"))["restarts"] == 1

    run(tmp_path, scenario, "counter")


def test_stop_start_restart_and_reset(tmp_path: Path) -> None:
    """Stopping closes clients and refuses others; starting serves again; a restart keeps the connection."""

    async def scenario(running: Running) -> None:
        var, url = running.var, running.urls["counter"]
        async with client(url) as connection:
            assert await ask(connection, "a") == "1 a"
            assert await output(var, "restart", "counter", "--wait") == "counter is ready\n"
            assert await ask(connection, "b") == "2 b"
            assert len(running.worker_pids("counter")) == 2
            assert await output(var, "stop", "counter", "--wait") == "counter is stopped\n"
            assert await close_code(connection) == 1001
        stopped = await actor(var, "counter")
        assert (stopped["state"], stopped["pid"], stopped["note"]) == ("stopped", None, "by the operator")
        assert (stopped["wanted"], stopped["restarts"]) == (False, 0)
        assert "has no worker that could crash" in await complaint(var, "crash", "counter", status=3)
        assert await output(var, "start", "counter", "--wait") == "counter is ready\n"
        async with client(url) as connection:
            assert await ask(connection, "c") == "3 c"
        for command in (["restart", "--all", "--wait"], ["reset", "--all", "--wait"]):
            assert (await output(var, *command)).splitlines() == [
                f"{name} is ready" for name in ("counter", "echo")
            ]
        assert "or say --all" in await complaint(var, "stop", status=2)
        assert "or say --all" in await complaint(var, "stop", "echo", "--all", status=2)

    run(tmp_path, scenario, "counter", "echo")


def test_kick(tmp_path: Path) -> None:
    """One connection is closed with 1008, the other stays; what is no ID, or not open, is refused."""

    async def scenario(running: Running) -> None:
        var, url = running.var, running.urls["echo"]
        async with client(url) as one, client(url) as other:
            assert await ask(one, "hello") == "hello"
            assert (await output(var, "kick", "echo/1")).startswith("closed echo/1 from 127.0.0.1:")
            assert await close_code(one) == 1008
            assert await ask(other, "still there") == "still there"
            assert "no open connection 1: `theaterctl conns echo`" in await complaint(
                var, "kick", "echo/1", status=4
            )
            assert "not an ID, such as chat/17" in await complaint(var, "kick", "echo", status=2)

    run(tmp_path, scenario, "echo")


def test_logs(tmp_path: Path) -> None:
    """Lines of several actors come merged by time: the last ones or those since a time, as text or JSON."""

    async def scenario(running: Running) -> None:
        var = running.var
        async with client(running.urls["probe"]) as connection:
            for number in range(5):
                await connection.send_message(f"log line {number}")
            await running.logged("probe", "line 4")
            last = (await output(var, "logs", "probe", "-n", "2")).splitlines()
            assert [line.split(" ", 2)[2] for line in last] == ["L line 3", "L line 4"]
        await output(var, "restart", "echo", "--wait")
        lines = (await output(var, "logs")).splitlines()
        assert lines == sorted(lines)
        assert {line.split()[1] for line in lines} == {"echo/1", "echo/2", "probe/1"}
        assert await output(var, "logs", "probe", "-n", "0") == ""
        assert len((await output(var, "logs", "probe", "--since", "5m")).splitlines()) >= 6
        assert await output(var, "logs", "probe", "--since", "2999-01-01T00:00:00Z") == ""
        assert '"event": "worker_ready"' in await output(var, "logs", "supervisor")
        assert '"stream": "L", "text": "line 4"' in await output(var, "logs", "probe", "--json")
        assert "neither a span" in await complaint(var, "logs", "--since", "yesterday", status=2)
        assert "did you mean 'probe'?" in await complaint(var, "logs", "prob", status=4)

    run(tmp_path, scenario, "probe", "echo")


def test_a_supervisor_that_is_not_there(tmp_path: Path) -> None:
    """Commands that ask it end with 4 and say what to do; those that read files work."""
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            await until_ready(running.var)
            assert await running.stop() == 0
        assert not (running.var / "run" / "control.sock").exists()
        for command in (["status"], ["reload"], ["crash", "echo"], ["conns"]):
            said = await complaint(running.var, *command, status=4)
            assert said.startswith(f"theaterctl: no supervisor runs on {running.var}: ")
        assert "S exited 0" in await output(running.var, "logs", "echo")
        assert await output(running.var, "dead", "echo") == "nothing is quarantined\n"
        findings = {one["check"]: one["verdict"] for one in await objects(running.var, "doctor")}
        assert findings["sqlite"] == findings["wasmtime"] == findings["var"] == "ok"

    trio.run(main)


def test_dead_events(tmp_path: Path) -> None:
    """An event that workers died on is listed, shown, given again until it is handled, and put aside."""
    component = tmp_path / "probe.wasm"
    component.write_bytes(build("probe").read_bytes())
    write_manifest(tmp_path, "probe", component, "[limits]\ncall_timeout_s = 4")

    async def main() -> None:
        async with supervisor(tmp_path) as running:
            var = running.var
            await until_ready(var)
            async with client(running.urls["probe"]) as connection:
                await connection.send_message("spin")
                for deaths in range(3):
                    await kill_busy_worker(running, deaths)
                assert await close_code(connection) == 1011
            (event,) = await objects(var, "dead", "probe")
            assert (event["kind"], event["input"], event["outcome"]) == ("text", "spin", "poison")
            seq = str(event["seq"])
            assert "poison" in await output(var, "dead", "probe")
            assert '"input": "spin"' in await output(var, "dead", "probe", "show", seq)
            failed = await output(var, "dead", "probe", "retry", seq, status=3)
            assert failed.startswith(f"seq {seq} as connection probe/2: failed again")
            assert len(await objects(var, "dead", "probe")) == 1
            component.write_bytes(build("echo").read_bytes())
            await output(var, "reload")
            handled = await output(var, "dead", "probe", "retry", seq)
            assert handled == f"seq {seq} as connection probe/3: handled, 1 reply; put aside\n"
            assert await output(var, "dead", "probe") == "nothing is quarantined\n"
            assert "spin" in await output(var, "dead", "probe", "--all")
            await output(var, "dead", "probe", "drop", seq)
            for wrong in (["show", "9999"], ["drop", "9999"], ["retry", "9999"]):
                said = await complaint(var, "dead", "probe", *wrong, status=4)
                assert "no event is quarantined at seq 9999" in said
            assert "needs a SEQ" in await complaint(var, "dead", "probe", "drop", status=2)
            assert "verified" in await output(var, "chain", "verify", "probe")

    trio.run(main)


async def kill_busy_worker(running: Running, deaths: int) -> None:
    """Wait until the worker that comes after so many deaths has the event in hand, then kill it."""
    while True:
        (seen,) = ask_supervisor(running.var, "status").items
        probe = seen["actors"][0]
        if probe["incarnation"] == deaths + 1 and probe["state"] == "ready" and probe["queue"]:
            break
        await trio.sleep(0.02)
    await trio.sleep(0.2)  # from the queue into the worker's hands
    os.kill(probe["pid"], 9)
