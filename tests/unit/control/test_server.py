"""The control socket: who may ask, what a request must be, and what a bad one cannot do."""

import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from theater_protocol.framing import encode_frame
from theater_supervisor.control import server as control
from theater_supervisor.control.commands import Answer
from theater_supervisor.control.server import open_control
from theater_supervisor.conversation import MAX_REQUEST_BYTES, SOCKET, encode_request
from theater_supervisor.ctl.client import Reply, Unreachable, ask
from theater_supervisor.errors import VarUnusable


async def echo(command: str, arguments: object) -> Answer:
    """Answer with what was asked."""
    return Answer([{"command": command, "arguments": arguments}], 3, "a message")


async def break_down(command: str, arguments: object) -> Answer:
    """Have a bug."""
    raise ZeroDivisionError


def serving(var: Path, test: Callable[[], Awaitable[None]], respond: control.Responder = echo) -> None:
    """Run a test while the control socket of `var` is served."""
    (var / "run").mkdir(parents=True, exist_ok=True)

    async def main() -> None:
        with trio.fail_after(20):
            async with open_control(var, respond) as served, trio.open_nursery() as nursery:
                nursery.start_soon(served.serve)
                await test()
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert not (var / SOCKET).exists()


async def asked(var: Path, command: str = "status", **arguments: object) -> Reply:
    """Ask in a thread."""
    return await trio.to_thread.run_sync(lambda: ask(var, command, answer_s=5, **arguments))


async def raw(var: Path, data: bytes) -> bytes:
    """Send bytes; return all that comes back."""
    async with await trio.open_unix_socket(var / SOCKET) as stream:
        try:
            await stream.send_all(data)
            await stream.send_eof()
            return b"".join([chunk async for chunk in stream])
        except trio.BrokenResourceError:
            return b""


def test_an_answer_has_its_items_status_and_message(tmp_path: Path) -> None:
    """What the command was given arrives, and what it says comes back."""

    async def test() -> None:
        arguments = {"names": ["a", "b"], "all": False, "wait_s": 1.5}
        assert await asked(tmp_path, **arguments) == Reply(
            [{"command": "status", "arguments": arguments}], 3, "a message"
        )

    serving(tmp_path, test)


def test_only_the_owner_can_reach_it(tmp_path: Path) -> None:
    """The socket is 0600 in a directory of 0700."""

    async def test() -> None:
        path = tmp_path / SOCKET
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    serving(tmp_path, test)


def test_another_user_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer whose uid is neither ours nor root's gets nothing, and the command is not run."""
    commands: list[str] = []

    async def remember(command: str, arguments: object) -> Answer:
        commands.append(command)
        return Answer()

    async def test() -> None:
        with pytest.raises(Unreachable, match="hung up without an answer"):
            await asked(tmp_path)

    monkeypatch.setattr(control, "peer_uid", lambda _: os.getuid() + 4242)
    serving(tmp_path, test, remember)
    assert commands == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode_frame("status"),
        encode_frame(["status"]),
        encode_frame(["status", ["names"]]),
        encode_frame([1, {}]),
        encode_request("status", {}) * 2,
        encode_request("status", {}) + b"\0",
        (MAX_REQUEST_BYTES + 1).to_bytes(4, "big"),
        b"\0\0\0\0",
        b"\0\0\0\1\xff",
        b"\0\0\0\3\xc0\x61a",
    ],
    ids=["http", "text", "arity", "list", "number", "two", "trailing", "big", "empty", "break", "tag"],
)
def test_what_is_no_request_is_refused(tmp_path: Path, data: bytes) -> None:
    """It gets the reason, no command is run for it, and the next request is answered."""
    commands: list[str] = []

    async def remember(command: str, arguments: object) -> Answer:
        commands.append(command)
        return Answer()

    async def test() -> None:
        assert b"not a request: " in await raw(tmp_path, data)
        assert commands == []
        assert (await asked(tmp_path)).status == 0

    serving(tmp_path, test, remember)


def test_one_who_leaves_or_says_nothing_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a request and silence end by themselves; others are answered meanwhile."""
    monkeypatch.setattr(control, "REQUEST_S", 0.2)

    async def test() -> None:
        assert await raw(tmp_path, encode_request("status", {})[:5]) == b""
        async with await trio.open_unix_socket(tmp_path / SOCKET) as silent:
            assert (await asked(tmp_path)).status == 3
            assert await silent.receive_some(1) == b""

    serving(tmp_path, test)


def test_too_many_at_once_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the answer is to try again; when others have left it is given."""
    monkeypatch.setattr(control, "MAX_CONVERSATIONS", 1)

    async def test() -> None:
        async with await trio.open_unix_socket(tmp_path / SOCKET):
            assert (await asked(tmp_path)).status == 75
        while (await asked(tmp_path)).status == 75:
            await trio.sleep(0.01)

    serving(tmp_path, test)


def test_a_command_that_breaks_ends_its_conversation_only(tmp_path: Path) -> None:
    """Whoever asked is hung up on; the socket goes on."""

    async def test() -> None:
        for _ in range(2):
            with pytest.raises(Unreachable, match="hung up"):
                await asked(tmp_path)

    serving(tmp_path, test, break_down)


def test_a_long_path_works_too(tmp_path: Path) -> None:
    """A socket's address has about 100 bytes; a var directory may be deeper than that."""
    var = tmp_path / ("d" * 60) / ("e" * 60)

    async def test() -> None:
        assert (await asked(var)).status == 3

    serving(var, test)


def test_what_a_dead_supervisor_left_is_replaced(tmp_path: Path) -> None:
    """A stale socket file is no obstacle, and asking it says that nobody is there."""
    path = tmp_path / SOCKET
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(Unreachable, match="no supervisor runs on"):
        ask(tmp_path, "status")

    async def test() -> None:
        assert (await asked(tmp_path)).status == 3

    serving(tmp_path, test)


def test_a_directory_that_cannot_hold_it_is_named(tmp_path: Path) -> None:
    """Without run/ the error names the file and the option."""

    async def main() -> None:
        async with open_control(tmp_path, echo):
            pass

    with pytest.raises(VarUnusable, match="--var"):
        trio.run(main)


@pytest.mark.parametrize("how", ["removed", "directory removed", "replaced"])
def test_a_socket_that_was_removed_is_made_anew(tmp_path: Path, how: str) -> None:
    """Whoever asks at its name is answered again; one that is there stays."""
    path = tmp_path / SOCKET
    path.parent.mkdir()

    async def main() -> None:
        with trio.fail_after(20):
            async with open_control(tmp_path, echo) as served, trio.open_nursery() as nursery:
                nursery.start_soon(served.serve)
                await asked(tmp_path)
                served.renew()
                before = path.stat().st_ino
                served.renew()
                assert path.stat().st_ino == before
                path.unlink()
                if how == "directory removed":
                    path.parent.rmdir()
                    with pytest.raises(FileNotFoundError):
                        served.renew()
                    path.parent.mkdir()
                elif how == "replaced":
                    os.mkfifo(path)
                served.renew()
                assert (await asked(tmp_path)).status == 3
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert not path.exists()


def test_a_name_that_is_another_ones_stays(tmp_path: Path) -> None:
    """At the end only the socket of this process is removed."""
    path = tmp_path / SOCKET
    path.parent.mkdir()

    async def main() -> None:
        async with open_control(tmp_path, echo):
            path.unlink()
            path.write_text("another's")

    trio.run(main)
    assert path.read_text() == "another's"
