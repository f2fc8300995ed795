"""Reloading: what is checked, what changes, what is not touched, and who stays connected."""

import contextlib
import http.client
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import trio

from tests.components import build
from tests.integration.running import (
    PATIENCE_S,
    Running,
    ask,
    client,
    close_code,
    supervisor,
    write_manifest,
)
from tests.integration.theaterctl import actor, complaint, objects, output, until_ready
from theater_supervisor.components.build import made_of
from theater_supervisor.components.record import append_record
from theater_supervisor.components.sources import read_sources
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


async def url_of(running: Running, name: str) -> str:
    """Wait until the supervisor has announced where a new actor is."""
    with trio.fail_after(PATIENCE_S):
        while name not in running.urls:
            await trio.sleep(0.01)
    return running.urls[name]


def test_an_unchanged_directory_restarts_nothing(tmp_path: Path) -> None:
    """Ten reloads by command and by HUP: no worker is another, no connection is closed, ports stay."""

    async def scenario(running: Running) -> None:
        var, urls = running.var, dict(running.urls)
        async with client(urls["counter"]) as connection:
            assert await ask(connection, "a") == "1 a"
            for _ in range(5):
                assert await output(var, "reload") == "= counter\n= echo\nnothing changed\n"
                running.process.send_signal(signal.SIGHUP)
            with trio.fail_after(PATIENCE_S):
                while [event["event"] for event in running.events()].count("reloaded") < 6:
                    await trio.sleep(0.02)
            assert await ask(connection, "b") == "2 b"
            for name in ("counter", "echo"):
                assert len(running.worker_pids(name)) == 1
                assert (await actor(var, name))["restarts"] == 0
        assert running.urls == urls

    run(tmp_path, scenario, "counter", "echo")


def test_actors_come_go_and_change(tmp_path: Path) -> None:
    """One is added, one removed, one changed and one stays: each as it should, clients included."""

    async def scenario(running: Running) -> None:
        var, urls = running.var, dict(running.urls)
        async with (
            client(urls["counter"]) as changed,
            client(urls["echo"]) as untouched,
            client(urls["probe"]) as removed,
        ):
            assert await ask(changed, "a") == "1 a"
            write_manifest(tmp_path, "counter", "counter", "[limits]\nmemory_mib = 64")
            write_manifest(tmp_path, "newcomer", "echo")
            (tmp_path / "manifests" / "probe.toml").unlink()
            told = "~ counter (limits)\n    limits.memory_mib: 256 → 64\n"
            expected = f"+ newcomer\n- probe\n{told}= echo\n"
            assert await output(var, "reload", "--dry-run") == expected
            assert len((await objects(var, "status"))["actors"]) == 3
            assert await output(var, "reload") == expected
            assert await close_code(removed) == 1001
            assert removed.closed is not None
            assert removed.closed.reason == "the actor was removed"
            assert await ask(untouched, "here") == "here"
            assert await ask(changed, "b") == "2 b"
            await until_ready(var)
            assert len(running.worker_pids("echo")) == 1
            assert len(running.worker_pids("counter")) == 2
            assert (await actor(var, "counter"))["restarts"] == 0
            async with client(await url_of(running, "newcomer")) as connection:
                assert await ask(connection, "hello") == "hello"
            assert "there are counter, echo, newcomer" in await complaint(var, "status", "xyz", status=4)
        # Come back, it goes on from its journal.
        (tmp_path / "manifests" / "newcomer.toml").unlink()
        write_manifest(tmp_path, "probe", "probe")
        assert await output(var, "reload") == "+ probe\n- newcomer\n= counter\n= echo\n"
        await until_ready(var)
        assert (await actor(var, "probe"))["seq"] >= 2

    run(tmp_path, scenario, "counter", "echo", "probe")


def test_a_new_component_takes_over_with_its_clients(tmp_path: Path) -> None:
    """The same manifest, but the file has other contents: the next reply is the new component's."""
    component = tmp_path / "served.wasm"

    component.write_bytes(build("counter").read_bytes())
    write_manifest(tmp_path, "served", component)

    async def scenario(running: Running) -> None:
        async with client(running.urls["served"]) as connection:
            assert await ask(connection, "a") == "1 a"
            component.write_bytes(build("echo").read_bytes())
            assert (await output(running.var, "reload")).startswith("~ served (component)\n    component: ")
            with trio.fail_after(PATIENCE_S):
                while len(running.worker_pids("served")) < 2:
                    await trio.sleep(0.01)
            assert await ask(connection, "b") == "b"
        assert "verified" in await output(running.var, "chain", "verify", "served")

    run(tmp_path, scenario)


def test_a_look_or_a_touch_builds_nothing(tmp_path: Path) -> None:
    """A reload takes a source for another by its bytes, and one that only looks makes no component of it."""
    source, component = tmp_path / "served.py", tmp_path / "served.wasm"
    source.write_text("first = 1\n")
    component.write_bytes(build("echo").read_bytes())
    append_record(component, made_of(read_sources(source), "websocket-actor"))
    write_manifest(tmp_path, "served", component, f'[build]\npython = "{source}"')

    async def scenario(running: Running) -> None:
        before = component.stat()
        os.utime(source, (4_000_000_000, 4_000_000_000))
        assert await output(running.var, "reload") == "= served\nnothing changed\n"
        source.write_text("second = 2\n")
        changed, value = (await output(running.var, "reload", "--dry-run")).splitlines()
        assert changed == "~ served (component)"
        assert value.endswith(' → "to be built"')
        source.write_text("def broken(:\n")
        refused = await output(running.var, "reload", status=78)
        assert f"served.toml: build.python: {source}, line 1: invalid syntax" in refused
        assert component.stat() == before
        assert not any(str(event["event"]).startswith("component_build") for event in running.events())

    run(tmp_path, scenario)


def test_nothing_changes_when_anything_is_wrong(tmp_path: Path) -> None:
    """All problems are told at once, by command and, after HUP, in the log; everything runs on."""

    async def scenario(running: Running) -> None:
        var = running.var
        async with client(running.urls["echo"]) as connection:
            assert await ask(connection, "a") == "a"
            write_manifest(tmp_path, "echo", "echo", "[limits]\nmemory_mib = 64")
            write_manifest(tmp_path, "broken", "core")
            assert "broken.toml: component_path: " in await output(var, "reload", status=78)
            write_manifest(tmp_path, "broken", Path("nowhere.wasm"))
            write_manifest(tmp_path, "misspelt", "echo", max_conections=5)
            refused = await output(var, "reload", status=78)
            assert "broken.toml: component_path: " in refused
            assert "misspelt.toml: handlers[0].config.max_conections: " in refused
            assert [item["problem"] for item in (await objects(var, "reload", status=78))["items"]] == (
                refused.splitlines()
            )
            os.kill(running.process.pid, signal.SIGHUP)
            with trio.fail_after(PATIENCE_S):
                while [event["event"] for event in running.events()].count("reload_refused") < 4:
                    await trio.sleep(0.02)
            assert await ask(connection, "b") == "b"
        assert len(running.worker_pids("echo")) == 1
        assert [one["name"] for one in (await objects(var, "status"))["actors"]] == ["echo"]

    run(tmp_path, scenario, "echo")


def test_an_actor_that_cannot_be_opened_is_not_added(tmp_path: Path) -> None:
    """A journal that is none: the reload is refused with its status, ports are free again, all runs on."""

    async def scenario(running: Running) -> None:
        var = running.var
        journal = var / "data" / "newcomer" / "journal.db"
        journal.parent.mkdir()
        journal.write_bytes(b"not a database" * 100)
        write_manifest(tmp_path, "newcomer", "echo")
        write_manifest(tmp_path, "echo", "echo", "[limits]\nmemory_mib = 64")
        assert "journal.db: damaged: " in await complaint(var, "reload", status=65)
        assert [one["name"] for one in (await objects(var, "status"))["actors"]] == ["echo"]
        assert len(running.worker_pids("echo")) == 1
        journal.unlink()
        told = "~ echo (limits)\n    limits.memory_mib: 256 → 64\n"
        assert await output(var, "reload") == f"+ newcomer\n{told}"
        async with client(await url_of(running, "newcomer")) as connection:
            assert await ask(connection, "hello") == "hello"

    run(tmp_path, scenario, "echo")


def test_a_handler_moves_without_its_clients_noticing(tmp_path: Path) -> None:
    """Another path, port and bound: the new place is served, the old one is not, who is there stays."""

    async def scenario(running: Running) -> None:
        old = running.urls.pop("echo")
        async with client(old) as connection:
            assert await ask(connection, "a") == "a"
            write_manifest(tmp_path, "echo", "echo", path="/moved", max_connections=1)
            assert await output(running.var, "reload") == (
                "~ echo (handlers)\n"
                '    handlers[0].config.path: "/" → "/moved"\n'
                "    handlers[0].config.max_connections: 1024 → 1\n"
            )
            new = await url_of(running, "echo")
            assert new == f"{old}moved"
            assert await ask(connection, "b") == "b"
            async with client(new) as newcomer:
                assert await ask(newcomer, "c") == "c"
                assert await trio.to_thread.run_sync(status_of, new) == 503
            assert await trio.to_thread.run_sync(status_of, old) == 404
            assert len(running.worker_pids("echo")) == 1

    run(tmp_path, scenario, "echo")


def status_of(url: str) -> int:
    """The HTTP status that a handshake is answered with."""
    parts = urlsplit(url)
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", parts.path, headers=headers)
        return connection.getresponse().status


def test_a_held_actor_starts_afresh_with_a_new_component(tmp_path: Path) -> None:
    """What it died of is mended and reloaded: it is ready, and no death is held against it."""
    component = tmp_path / "served.wasm"

    component.write_bytes(build("init").read_bytes())
    held = "[restart]\nintensity = 0\nheld_probe_s = 600"
    write_manifest(tmp_path, "served", component, held)
    write_manifest(tmp_path, "echo", "echo")

    async def main() -> None:
        with trio.fail_after(TIME_LIMIT_S):
            async with supervisor(tmp_path) as running:
                await until_ready(running.var)
                await output(running.var, "crash", "served")
                with trio.fail_after(PATIENCE_S):
                    while ask_supervisor(running.var, "status", names=["served"]).status == 0:
                        await trio.sleep(0.02)
                assert (await actor(running.var, "served", 3))["state"] == "held"
                component.write_bytes(build("echo").read_bytes())
                told = await output(running.var, "reload")
                assert told.startswith("~ served (component)\n    component: ")
                assert told.endswith("\n= echo\n")
                await until_ready(running.var)
                assert (await actor(running.var, "served"))["restarts_in_period"] == 0

    trio.run(main)
