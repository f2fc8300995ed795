"""The administration port: probes and metrics of a running supervisor, and what a start does without it."""

import contextlib
import http.client
import socket
import subprocess
import sys
from pathlib import Path

import trio
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.running import PATIENCE_S, ask, client, supervisor, write_manifest
from tests.integration.theaterctl import output, until_ready
from tests.sandboxed import probe

TIME_LIMIT_S = 100


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    """Ask for a page; return its status and its text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the metrics' values by name and the values of their labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_probes_and_metrics(tmp_path: Path) -> None:
    """Ready when all that should be is; every number is what was done, and no label is anything else."""
    write_manifest(tmp_path, "counter", "counter", "[restart]\nintensity = 1")
    write_manifest(tmp_path, "probe", "probe")
    port = free_port()

    async def page(path: str) -> tuple[int, str]:
        return await trio.to_thread.run_sync(get, port, path)

    async def main() -> None:
        with trio.fail_after(TIME_LIMIT_S):
            async with supervisor(tmp_path, "--admin", f"127.0.0.1:{port}") as running:
                await until_ready(running.var)
                assert await page("/livez") == (200, "ok\n")
                assert await page("/readyz") == (200, "ok\n")
                assert (await page("/"))[0] == 404
                async with client(running.urls["counter"]) as connection:
                    for number in range(1, 4):
                        assert await ask(connection, "x") == f"{number} x"
                async with client(running.urls["probe"]) as connection:
                    await connection.send_message("trap")
                    await running.logged("probe", "trap on text")
                await output(running.var, "crash", "counter")
                await output(running.var, "stop", "probe", "--wait")
                await until_ready(running.var)
                status, text = await page("/metrics")
                assert status == 200
                check(samples(text))
                await output(running.var, "crash", "counter")
                while await page("/readyz") != (503, "counter is held\n"):
                    await trio.sleep(0.02)
                assert await page("/livez") == (200, "ok\n")

    trio.run(main)


def check(seen: dict[tuple[str, ...], float]) -> None:
    """Compare the metrics with what was done."""
    assert seen["theater_messages_received_total", "counter"] == 3
    assert seen["theater_messages_sent_total", "counter"] == 3
    assert seen["theater_sent_bytes_total", "counter"] > 9
    assert seen["theater_connections_opened_total", "counter"] == 1
    assert seen["theater_connections", "counter"] == 0
    assert seen["theater_events_total", "counter", "ok"] == 5
    assert seen["theater_events_total", "probe", "trap"] == 1
    assert seen["theater_event_latency_seconds_count", "counter"] == 5
    assert 1 <= seen["theater_commit_duration_seconds_count", "counter"] <= 5
    assert seen["theater_chain_seq", "counter"] == 6
    assert seen["theater_worker_exits_total", "counter", "signalled"] == 1
    assert seen["theater_worker_exits_total", "probe", "stopped"] == 1
    assert seen["theater_actor_state", "counter", "ready"] == 1
    assert seen["theater_actor_state", "probe", "stopped"] == 1
    assert seen["theater_handshakes_total", "101"] == 2
    assert seen["theater_worker_resident_memory_bytes", "counter"] > 1_000_000
    assert ("theater_worker_resident_memory_bytes", "probe") not in seen
    assert seen["theater_sandbox_level", "counter"] == probe()["level"]
    assert seen["theater_queue_events", "counter"] == 0
    assert seen["theater_log_lines_lost_total", "counter"] == 0
    assert seen[("theater_loop_lag_seconds",)] >= 0


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    """Status 69, one clear line, and nothing was started; what is no address is a wrong command line."""
    write_manifest(tmp_path, "echo", "echo")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for admin, status, said in (
            (f"127.0.0.1:{port}", 69, f"--admin 127.0.0.1:{port} can't be bound: "),
            ("localhost:9464", 2, "is not an IP address and a port"),
            ("127.0.0.1:70000", 2, "is not an IP address and a port"),
        ):
            done = subprocess.run(
                [Path(sys.executable).with_name("theater-supervise"), "--admin", admin, "manifests"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            assert done.returncode == status
            assert said in done.stderr
    assert not (tmp_path / "var" / "data").exists()
