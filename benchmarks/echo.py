"""Echo: ours, durable and exactly once, against bare trio-websocket, interleaved in one run.

Usage: python -m benchmarks.echo [--rounds N] [--seconds S] [--json FILE]
Throughput: 32 connections, 4 messages outstanding on each, 16-byte text. Latency: one connection, one message
outstanding, the median. Ratios are of medians over the rounds.
"""

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.components import build

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 60
_MANIFEST = """
name = "{name}"
component_path = "{component}"
[[handlers]]
type = "websocket-server"
config = {{ port = 0 }}
[journal]
durability = "{name}"
"""


@contextlib.contextmanager
def serving(command: list[str], names: set[str]) -> Iterator[dict[str, str]]:
    """Run a server until the block ends; give the URLs it announces by name."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        try:
            urls: dict[str, str] = {}
            for line in server.stdout:
                urls |= dict(re.findall(r"^(\S+) on (ws://\S+)$", line))
                if urls.keys() >= names:
                    break
            else:
                raise RuntimeError(f"{command[0]} ended before it served {names}")
            yield urls
        finally:
            server.terminate()
            server.wait(START_TIMEOUT_S)


@contextlib.contextmanager
def ours(*durabilities: str) -> Iterator[dict[str, str]]:
    """Serve the C echo actor, once for each durability; the URLs by durability."""
    with tempfile.TemporaryDirectory(prefix="theater-bench-", dir=ROOT / "build") as directory:
        home = Path(directory)
        (home / "manifests").mkdir()
        for name in durabilities:
            text = _MANIFEST.format(name=name, component=build("echo"))
            (home / "manifests" / f"{name}.toml").write_text(text)
        program = str(Path(sys.executable).with_name("theater-supervise"))
        command = [program, "--log-level", "warning", "--var", str(home / "var"), str(home / "manifests")]
        with serving(command, set(durabilities)) as urls:
            yield urls


@contextlib.contextmanager
def bare() -> Iterator[dict[str, str]]:
    """Serve the peer."""
    with serving([sys.executable, "benchmarks/bare_trio_websocket.py"], {"bare"}) as urls:
        yield urls


def measure(url: str, what: str, seconds: float) -> dict[str, float]:
    """Put load on a server from a process of its own."""
    command = [sys.executable, str(ROOT / "benchmarks" / "load.py"), url, what, str(seconds)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=seconds * 2 + START_TIMEOUT_S
    )
    return json.loads(done.stdout)


def main() -> None:
    """Measure, print the table, and write the figures where they are wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    figures: dict[str, dict[str, list[float]]] = {"throughput": {}, "latency": {}}
    load_cpu_share: list[float] = []
    with ours("power-loss", "process-crash") as urls, bare() as peer:
        servers = urls | peer
        for _ in range(options.rounds):
            for what, series in figures.items():
                for name, url in servers.items():
                    result = measure(url, what, options.seconds)
                    series.setdefault(name, []).append(result["value"])
                    load_cpu_share.append(result["load_cpu_s"] / options.seconds)
    report(figures)
    print(f"load generator: at most {max(load_cpu_share):.0%} of one core")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2))


def report(figures: dict[str, dict[str, list[float]]]) -> None:
    """Print medians and their ratios to the peer."""
    units = {"throughput": "messages/s", "latency": "µs p50"}
    for what, series in figures.items():
        peer = statistics.median(series["bare"])
        print(f"{what} ({units[what]})")
        for name, values in series.items():
            middle = statistics.median(values)
            spread = f"{min(values):,.0f} to {max(values):,.0f}"
            print(f"  {name:14} {middle:10,.0f}   {middle / peer:5.2f} x bare   ({spread})")


if __name__ == "__main__":
    main()
