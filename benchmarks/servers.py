"""What is measured: our supervisor with actors of its own, and the peers, each a process with URLs by name.

What a peer needs and isn't there is said, and the peer left out. Load is put on them from processes of their
own. No figures here.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil
from tests.components import build
from tests.integration.running import share_cache

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
PEERS = ("bare", "websockets", "ws", "workerd")
START_TIMEOUT_S = 60.0
_SETTLE_S = 2.0
_PEERS = ROOT / "benchmarks" / "peers"
_NODE_MODULES = BUILD / "node_modules"
# What servers announce: our supervisor and the scripts a line each, workerd its control events.
_ANNOUNCED = re.compile(r'^(\S+) on (ws://\S+)$|"socket":"(\w+)","port":(\d+)', re.MULTILINE)
_MANIFEST = """
name = "{name}"
component_path = "{component}"
{init_state}
[[handlers]]
type = "websocket-server"
config = {{ {config} }}
{tables}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """One URL of a running server, and the process behind it."""

    url: str
    process: psutil.Process

    def cpu_s(self) -> float:
        """Return the CPU time that the server and its children have used, in seconds."""
        processes = [self.process, *self.process.children(recursive=True)]
        used = [each.cpu_times() for each in processes]
        return float(sum(times.user + times.system for times in used))


@dataclass(frozen=True, slots=True)
class Actor:
    """An actor of our supervisor: a component of tests/components, and what its manifest says."""

    name: str
    component: str = "echo"
    state: bytes | None = None
    config: str = "port = 0"
    tables: str = ""

    def write(self, home: Path) -> None:
        """Write the manifest, and the file with the first state."""
        init_state = ""
        if self.state is not None:
            file = home / f"{self.name}.state"
            file.write_bytes(self.state)
            init_state = f'init_state = "{file}"'
        text = _MANIFEST.format(
            name=self.name,
            component=build(self.component),
            init_state=init_state,
            config=self.config,
            tables=self.tables,
        )
        (home / "manifests").mkdir(exist_ok=True)
        (home / "manifests" / f"{self.name}.toml").write_text(text)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a directory on the disk that the project is on, for the time of the block."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=BUILD) as directory:
        yield Path(directory)


@contextlib.contextmanager
def serving(command: list[str], names: set[str]) -> Iterator[dict[str, Server]]:
    """Run a server until the block ends; give what it announces by name."""
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, cwd=ROOT) as process,
    ):
        try:
            urls = _announced(process, names)
            if not urls:
                complaints.seek(0)
                raise RuntimeError(f"{command[0]} ended: {complaints.read().decode(errors='replace')}")
            behind = psutil.Process(process.pid)
            yield {name: Server(url, behind) for name, url in urls.items()}
        finally:
            process.terminate()
            process.wait(START_TIMEOUT_S)


def _announced(process: subprocess.Popen[bytes], names: set[str]) -> dict[str, str]:
    """Read what a server prints until all names are in it; nothing, if it ends before."""
    assert process.stdout is not None
    output, urls = "", dict[str, str]()
    while not urls.keys() >= names:
        chunk = os.read(process.stdout.fileno(), 1 << 16)  # workerd ends no line
        if not chunk:
            return {}
        output += chunk.decode()
        urls = {
            name or socket: url or f"ws://127.0.0.1:{port}/"
            for name, url, socket, port in _ANNOUNCED.findall(output)
        }
    return urls


@contextlib.contextmanager
def ours(home: Path, *actors: Actor, log_level: str = "warning") -> Iterator[dict[str, Server]]:
    """Serve actors under `home`; give them by name."""
    for actor in actors:
        actor.write(home)
    share_cache(home / "var")
    program = str(Path(sys.executable).with_name("theater-supervise"))
    options = ["--log-level", log_level, "--var", str(home / "var")]
    with serving([program, *options, str(home / "manifests")], {actor.name for actor in actors}) as servers:
        yield servers


@contextlib.contextmanager
def ours_and_peers(names: tuple[str, ...] = PEERS) -> Iterator[dict[str, Server]]:
    """Serve our echo actor once for each durability, and those peers that can run; give all as rows."""
    durabilities = ("power-loss", "process-crash")
    actors = [Actor(name, tables=f'[journal]\ndurability = "{name}"') for name in durabilities]
    with scratch() as home, ours(home, *actors) as servers, peers(names) as others:
        yield {f"ours, {name}": server for name, server in servers.items()} | others


def missing(peer: str) -> str | None:
    """Return what a peer needs and this machine hasn't, None when it can run."""
    match peer:
        case "websockets" if find_spec("websockets") is None:
            return "the package websockets"
        case "ws" if shutil.which("node") is None:
            return "node"
        case "ws" if not (_NODE_MODULES / "ws").exists():
            return "ws from the npm registry"
        case "workerd" if _workerd() is None:
            return "workerd from the npm registry"
    return None


@contextlib.contextmanager
def peers(names: tuple[str, ...] = PEERS) -> Iterator[dict[str, Server]]:
    """Serve the peers that can run, by name."""
    with contextlib.ExitStack() as stack:
        servers: dict[str, Server] = {}
        for name in names:
            if not missing(name):
                storage = stack.enter_context(scratch())
                servers |= stack.enter_context(serving(_peer_command(name, storage), {name}))
        yield servers


def _peer_command(peer: str, storage: Path) -> list[str]:
    commands = {
        "bare": [sys.executable, str(_PEERS / "bare_trio_websocket.py")],
        "websockets": [sys.executable, str(_PEERS / "websockets_echo.py")],
        "ws": ["node", str(_PEERS / "ws_echo.js"), str(_NODE_MODULES)],
        "workerd": [str(_workerd()), "serve", str(_PEERS / "counter.capnp"), "--control-fd=1"],
    }
    return commands[peer] + ([f"--directory-path=disk={storage}"] if peer == "workerd" else [])


def _workerd() -> Path | None:
    # The program is in the package for the platform, of which npm installs the one that fits.
    return next(_NODE_MODULES.glob("@cloudflare/workerd-*/bin/workerd"), None)


def load(url: str, what: str, seconds: float, **options: object) -> dict[str, float]:
    """Put load on a URL and return what load.py prints; `options` are its options."""
    return finish_load(start_load(url, what, seconds, **options), seconds)


def start_load(url: str, what: str, seconds: float, **options: object) -> subprocess.Popen[str]:
    """Begin to put load on a URL."""
    flags = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, str(ROOT / "benchmarks" / "load.py"), url, what, str(seconds), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish_load(generator: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """Wait for a load that was begun, and return what it prints."""
    output, _ = generator.communicate(timeout=seconds * 2 + START_TIMEOUT_S)
    if generator.returncode:
        raise RuntimeError("the load ended with an error")
    figures: Mapping[str, float] = json.loads(output)
    return dict(figures)


def settle_journal(server: Server) -> None:
    """Put load on one of our actors until its journal's write-ahead log has the size that it keeps.

    While the file grows, each sync waits for the file system's own journal too.
    """
    load(server.url, "throughput", _SETTLE_S)
