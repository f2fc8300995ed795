"""The example actors as `make run` serves them: built from their sources, talked to by several clients."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.integration.running import Running, ask, client, supervisor, write_manifest

REPOSITORY = Path(__file__).parents[2]
TIMEOUT_S = 280

pytestmark = pytest.mark.timeout(300)  # the first time, both are built and compiled


@asynccontextmanager
async def served(name: str, directory: Path) -> AsyncIterator[Running]:
    """Serve manifests/NAME.py on a free port; what is built and compiled for it is kept for the next time."""
    source = REPOSITORY / "manifests" / f"{name}.py"
    write_manifest(directory, name, source.with_suffix(".wasm"), f'[build]\npython = "{source}"\n')
    cache = REPOSITORY / "build" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    (directory / "var").mkdir()
    (directory / "var" / "cache").symlink_to(cache)
    with trio.fail_after(TIMEOUT_S):
        async with supervisor(directory) as running:
            yield running


def said(username: str, content: str) -> dict[str, object]:
    """A chat message."""
    return {"username": username, "content": content, "timestamp": 1_700_000_000}


def test_echo_dialogue(tmp_path: Path) -> None:
    """Two clients at once, then a third: numbers, text, bytes, and the count going down with a close."""

    async def scenario() -> None:
        async with served("echo", tmp_path) as running:
            url = running.urls["echo"]
            async with client(url) as first:
                assert await first.get_message() == "Welcome! You are connection #1"
                async with client(url) as second:
                    assert await second.get_message() == "Welcome! You are connection #2"
                    assert await ask(first, "hello") == "Echo: hello"
                    assert await ask(second, b"\0\xff\x80") == b"\0\xff\x80"
                    assert await ask(second, "") == "Echo: "
                async with client(url) as third:
                    assert await third.get_message() == "Welcome! You are connection #2"
            assert await running.stop() == 0

    trio.run(scenario)


def test_chat_dialogue(tmp_path: Path) -> None:
    """Three clients: everyone's messages are in the history that each gets; bad JSON changes nothing."""
    hello, answer = said("ann", "hello"), said("bob", "grüß dich 👋")

    async def scenario() -> None:
        async with served("chat", tmp_path) as running:
            url = running.urls["chat"]
            async with client(url) as ann:
                assert await ann.get_message() == "Welcome! There are 1 users online."
                assert await ann.get_message() == "[]"
                assert json.loads(await ask(ann, json.dumps(hello))) == [hello]
                async with client(url) as bob:
                    assert await bob.get_message() == "Welcome! There are 2 users online."
                    assert json.loads(await bob.get_message()) == [hello]
                    assert json.loads(await ask(bob, json.dumps(answer))) == [hello, answer]
                    assert str(await ask(bob, "{bad")).startswith("Error parsing message: ")
                assert json.loads(await ask(ann, json.dumps(hello))) == [hello, answer, hello]
                async with client(url) as cat:
                    assert await cat.get_message() == "Welcome! There are 2 users online."
                    assert json.loads(await cat.get_message()) == [hello, answer, hello]
            assert await running.stop() == 0

    trio.run(scenario)


def test_chat_survives_a_killed_worker_and_a_restart(tmp_path: Path) -> None:
    """A client talks on while the worker is killed, and the history outlives the supervisor."""
    messages = [said("ann", f"message {number}") for number in range(3)]

    async def before() -> None:
        async with served("chat", tmp_path) as running, client(running.urls["chat"]) as ann:
            assert await ann.get_message() == "Welcome! There are 1 users online."
            assert await ann.get_message() == "[]"
            for number, message in enumerate(messages, 1):
                assert json.loads(await ask(ann, json.dumps(message))) == messages[:number]
                await running.kill_worker("chat")

    async def after() -> None:
        async with supervisor(tmp_path) as running, client(running.urls["chat"]) as bob:
            assert await bob.get_message() == "Welcome! There are 1 users online."
            assert json.loads(await bob.get_message()) == messages

    trio.run(before)
    trio.run(after)
