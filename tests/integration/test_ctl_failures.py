"""What an operator sees of an actor whose worker lives, and fails on events; and of one that was stopped."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from tests.integration.running import PATIENCE_S, Running, ask, client, close_code, supervisor, write_manifest
from tests.integration.theaterctl import actor, objects, output, until_ready


def run(directory: Path, scenario: Callable[[Running], Awaitable[None]]) -> None:
    """Run a scenario against a supervisor with the probe, which fails as it is told."""
    write_manifest(directory, "probe", "probe", "[limits]\ncall_timeout_s = 0.5")

    async def main() -> None:
        async with supervisor(directory) as running:
            await until_ready(running.var)
            await scenario(running)

    trio.run(main)


async def failed(running: Running, command: str) -> str:
    """Let the actor fail on a message; return the error id that its client is shown."""
    async with client(running.urls["probe"]) as connection:
        assert await ask(connection, "before") == "before"
        await connection.send_message(command)
        assert await close_code(connection) == 1011
        assert connection.closed is not None
        found = re.fullmatch(r"internal error \[([0-9a-f]{8})\]", str(connection.closed.reason))
        assert found is not None
        return found[1]


def test_events_that_fail_are_told(tmp_path: Path) -> None:
    """With their connection, seq and last line, and the id that the client was shown: everywhere the same."""

    async def scenario(running: Running) -> None:
        var = running.var
        quiet = await actor(var, "probe")
        assert (quiet["errors"], quiet["errors_per_s"], quiet["last_error"], quiet["note"]) == (
            0,
            0.0,
            None,
            "",
        )
        errors = [await failed(running, command) for command in ("err why\u202e", "trap", "spin")]
        (told,) = await objects(var, "explain", "probe")
        assert told["exits"] == []
        assert [one["error"] for one in told["failures"]] == errors
        assert [(one["kind"], one["outcome"], one["connection"]) for one in told["failures"]] == [
            ("text", "err", 1),
            ("text", "trap", 2),
            ("text", "timeout", 3),
        ]
        assert told["failures"][0]["reason"] == "why\u202e"
        history = await output(var, "chain", "export", "probe")
        recorded = [line for line in history.splitlines() if '"outcome": "ok"' not in line]
        for one, line in zip(told["failures"], recorded, strict=True):
            assert f'"seq": {one["seq"]},' in line
        text = await output(var, "explain", "probe")
        assert "3 events failed, " in text
        assert f"text of connection 1, seq {told['failures'][0]['seq']}: err: why\\u202e" in text
        assert f"the client was shown [{errors[0]}]" in text
        with trio.fail_after(PATIENCE_S):
            seen = await actor(var, "probe")
            while not seen["errors_per_s"]:  # of the last seconds, which may be over
                errors.append(await failed(running, "err again"))
                seen = await actor(var, "probe")
        assert (seen["state"], seen["errors"], seen["last_error"]["error"]) == (
            "ready",
            len(errors),
            errors[-1],
        )
        assert re.match(r"[0-9.]+ errors/s: (timeout|err) on text of connection [0-9]+: ", seen["note"])
        warnings = [line for line in running.events() if line["event"] == "event_failed"]
        assert (warnings[0]["actor"], warnings[0]["error"]) == ("probe", errors[0])

    run(tmp_path, scenario)


def test_an_operators_stop_is_explained_as_one(tmp_path: Path) -> None:
    """Nothing follows it, whatever the policy says of other ends."""

    async def scenario(running: Running) -> None:
        await output(running.var, "stop", "probe", "--wait")
        text = await output(running.var, "explain", "probe")
        assert "then: nothing: the operator stopped it" in text
        assert "restart" not in text
        await output(running.var, "start", "probe", "--wait")
        await output(running.var, "restart", "probe", "--wait")
        assert "then: restart at once" in await output(running.var, "explain", "probe")

    run(tmp_path, scenario)
