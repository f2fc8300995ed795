"""Running a page's blocks as a reader does: in order, in a shell, beside a supervisor of the examples.

A `console` block has commands after `$`, and below each what it shows. Numbers, times, hashes, paths and the
width of columns differ from run to run, so they are compared as such; logged progress, which is there only
where something takes long, is left out. A line `…` stands for any lines; where nothing is shown, nothing is
compared. `npx wscat -c URL` is played by a client of ours: `>` is sent, `<` comes back; a block without a
command goes on with it.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from trio_websocket import WebSocketConnection

from tests.documents.pages import ROOT, Block
from tests.integration.running import PATIENCE_S, Running, ask, client
from theater_supervisor.ctl.client import ask as ask_supervisor

# Commands that no test runs as they stand, and why.
UNRUN: Final = {
    "make run": "it builds, and serves on fixed ports: tests/integration/test_examples.py serves the same",
    "make test": "it is what runs this",
}
# What a command may end with, where that is not 0 on every machine.
ENDS_WITH: Final = {"theaterctl doctor": {0, 3}}

COMMAND_S: Final = 120.0
_WSCAT: Final = re.compile(r"npx wscat -c (\S+)")
_PROGRESS: Final = re.compile(r"^\d\d:\d\d:\d\d\.\d+ \[info .*\n", re.MULTILINE)
_BIN: Final = Path(sys.executable).parent
# What is other in every run, and what stands for it.
_VARYING: Final = (
    (r"\b[0-9a-f]{8,64}\b", "HASH"),
    (r"(?<![\w:/])/[\w./-]+", "PATH"),
    (r"\d+(?:[.,]\d+)*", "N"),
    (r"\bN (?:B|KiB|MiB|GiB)\b", "N B"),
    (r"\bN(?:ms|s|m|h|d)(?: ?N(?:ms|s|m|h))*\b", "Ns"),
    (r"(?<=\s)(?:-|Ns|N B)(?=\s|$)", "N"),
    (r" +", " "),
)


@dataclass(frozen=True)
class Command:
    """A command of a block and what is shown below it."""

    text: str
    shown: str
    place: str


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block, in order."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        text = re.sub(r"\s+# .*$", "", command).strip().replace(".venv/bin/", "")
        yield Command(text, shown.strip("\n"), str(block))


def shape(text: str) -> list[str]:
    """What stays the same of an output from run to run, line by line."""
    lines = []
    for line in text.rstrip().splitlines():
        for pattern, stands_for in _VARYING:
            line = re.sub(pattern, stands_for, line)
        lines.append(line.strip())
    return lines


def matches(shown: str, seen: str) -> bool:
    """Say whether an output has the shape of what a page shows."""
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line) + r"\n" for line in shape(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in shape(seen))) is not None


class Reader:
    """Who does what a page says, at a running supervisor, and leaves the clients connected."""

    def __init__(self, running: Running, stack: AsyncExitStack) -> None:
        self._running = running
        self._stack = stack
        self._connections: list[WebSocketConnection] = []

    async def connect(self, url: str) -> WebSocketConnection:
        """Connect a client that stays until the reader has done everything."""
        self._connections.append(await self._stack.enter_async_context(client(url)))
        return self._connections[-1]

    async def follow(self, block: Block) -> None:
        """Run a block of commands, or a program, and compare what they show."""
        if block.language == "python":
            await self._run_program(block)
            return
        if not block.text.startswith("$ "):
            await self._play(self._connections[-1], block.text, str(block))
        for command in commands(block):
            if command.text in UNRUN:
                continue
            if wscat := _WSCAT.fullmatch(command.text):
                connection = await self.connect(self._here(wscat[1]))
                await self._play(connection, command.shown, command.place)
            else:
                await self._run(command)
            await self._settled()

    async def _run(self, command: Command) -> None:
        status, seen = await self._output(["sh", "-c", self._here(command.text)])
        report = f"{command.place}: {command.text}: status {status}\n{seen}"
        assert status in ENDS_WITH.get(command.text, {0}), report
        assert not command.shown or matches(command.shown, _PROGRESS.sub("", seen)), report

    async def _run_program(self, block: Block) -> None:
        """Run a Python program; what it prints is what the comments beside its prints say."""
        expected = re.findall(r"^ *print\(.*\)  # (.*)$", block.text, re.MULTILINE)
        status, seen = await self._output([sys.executable, "-c", self._here(block.text)])
        assert (status, seen.splitlines()) == (0, expected), f"{block}\n{seen}"

    async def _play(self, connection: WebSocketConnection, dialogue: str, place: str) -> None:
        """Send what the client sends, expect what comes."""
        for line in dialogue.splitlines():
            match line.partition(" "):
                case ">", _, message:
                    await connection.send_message(message)
                case "<", _, message:
                    with trio.fail_after(PATIENCE_S):
                        assert await connection.get_message() == message, f"{place}: {line}"
                case _:
                    assert line.startswith("Connected"), f"{place}: {line}"

    async def _output(self, command: list[str]) -> tuple[int, str]:
        with trio.fail_after(COMMAND_S):
            done = await trio.run_process(
                command,
                cwd=self._running.directory,
                env={**os.environ, "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}"},
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
            )
        return done.returncode, done.stdout.decode()

    def _here(self, text: str) -> str:
        """Put in this supervisor's addresses for those of the examples."""
        for name, url in documented_urls().items():
            text = text.replace(url, self._running.urls[name])
        return text

    async def _settled(self) -> None:
        """Wait, as a reader's own slowness does, until no actor is on its way."""
        with trio.fail_after(PATIENCE_S):
            while {one["state"] for one in self._actors()} & {"starting", "waiting", "recovering"}:
                await trio.sleep(0.02)

    def _actors(self) -> list[dict[str, str]]:
        (status,) = ask_supervisor(self._running.var, "status").items
        actors: list[dict[str, str]] = status["actors"]
        return actors


def documented_urls() -> dict[str, str]:
    """Where the examples are, in the pages and in `make run`."""
    manifests = [tomllib.loads(file.read_text()) for file in (ROOT / "manifests").glob("*.toml")]
    return {one["name"]: f"ws://127.0.0.1:{one['handlers'][0]['config']['port']}/" for one in manifests}


async def visit(reader: Reader, running: Running) -> None:
    """Be the client of README.md: one message, the death of the worker, one more message."""
    chat = await reader.connect(running.urls["chat"])
    said = '{"username": "ann", "content": "hello", "timestamp": 1700000000}'
    assert [await chat.get_message() for _ in range(2)] == ["Welcome! There are 1 users online.", "[]"]
    assert await ask(chat, said) == f"[{said}]"
    await running.kill_worker("chat")
    assert str(await ask(chat, "nonsense")).startswith("Error parsing message: ")
