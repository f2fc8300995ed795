"""`python -I -m theater_worker.compile CACHE_DIR COMPONENT_FILE`: check a component and compile it.

A process of its own, because compiling takes seconds and much memory. Prints one JSON object on one line:
`component_sha256` (hex; null if the file cannot be read), `compiled_path` (absolute; null with problems),
`exports_init`, `without_shim` (why it has no fast call path; null if it has one), `problems` (a list of
texts). Exit status: 0, 65 with problems, 66 for an unreadable file.

A cache file's name is `<SHA-256 of the component>.<compile key>.<SHA-256 of its own bytes>.cwasm`: it fits or
it is not found, and one that was damaged shows it. Files appear whole under their name or not at all. Beside
code without the shim lies the reason (shim/inject.py).
"""

import hashlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wasmtime import Engine, WasmtimeError
from wasmtime.component import Component

from theater_worker.engine import compile_key, new_engine
from theater_worker.errors import ComponentError, UnreadableError
from theater_worker.interface import read_interface
from theater_worker.sandbox import bound_compiler
from theater_worker.shim import naming as shim
from theater_worker.shim.fit import compile_with_shim

_CORE_MODULE = b"\0asm\x01\x00\x00\x00"
_COMPONENT = b"\0asm\x0d\x00\x01\x00"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a component file; printed as JSON."""

    component_sha256: str | None
    compiled_path: str | None = None
    exports_init: bool = False
    without_shim: str | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A component, the file of its code, and why it has no shim, if so."""

    component: Component
    path: Path
    without_shim: str | None


def compile_component(cache: Path, component_file: Path, with_shim: bool = True) -> Report:
    """Compile a component unless the cache has it, and check its exports and imports in either case.

    Without the shim calls are slow, and work with every component. Safe to run at the same time for the same
    file. Raises UnreadableError.
    """
    try:
        wasm = component_file.read_bytes()
    except OSError as exc:
        raise UnreadableError(f"cannot be read: {exc.strerror}") from exc
    sha256 = hashlib.sha256(wasm).hexdigest()
    engine = new_engine()
    try:
        _check_header(wasm)
        name = f"{sha256}.{_key(with_shim)}"
        compiled = _cached(cache, name, engine) or _compile(cache, name, wasm, engine, with_shim)
    except ComponentError as exc:
        return Report(sha256, problems=[str(exc)])
    interface = read_interface(compiled.component, engine)
    if interface.problems:
        return Report(sha256, problems=interface.problems)
    path = str(compiled.path.absolute())
    return Report(sha256, path, interface.actor is not None, compiled.without_shim)


def _key(with_shim: bool) -> str:
    """Name what compiled code depends on besides the component, in 16 hex digits."""
    identity = compile_key() + (shim.version() if with_shim else "")
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _check_header(wasm: bytes) -> None:
    """Say what a file is that is no component. Raises ComponentError."""
    header = wasm[: len(_COMPONENT)]
    if header == _COMPONENT:
        return
    if header == _CORE_MODULE:
        raise ComponentError(
            "is a core WebAssembly module, not a component"
            " (embed theater.wit with `wasm-tools component embed`, then use `wasm-tools component new`)"
        )
    if not wasm:
        raise ComponentError("is empty, not a component")
    if header[:4] == _COMPONENT[:4]:
        raise ComponentError(f"is WebAssembly of an unknown version ({header[4:].hex(' ')}), not a component")
    raise ComponentError(f"is not WebAssembly (it starts with {header!r}), so not a component")


def _cached(cache: Path, name: str, engine: Engine) -> _Compiled | None:
    """Find the component's compiled code; a damaged file is removed and not found."""
    for path in sorted(cache.glob(f"{name}.*.cwasm")):
        with path.open("rb") as stream:
            content_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if path.suffixes[-2] == f".{content_sha256}":
            try:
                component = Component.deserialize_file(engine, str(path))
                path.touch()  # what was used lately is not removed
                return _Compiled(component, path, shim.read_reason(path))
            except WasmtimeError:
                pass  # whole, but of another machine's making
        path.unlink(missing_ok=True)
    return None


def _compile(cache: Path, name: str, wasm: bytes, engine: Engine, with_shim: bool) -> _Compiled:
    try:
        if with_shim:
            component, reason = compile_with_shim(wasm, engine)
        else:
            component, reason = Component(engine, wasm), "it was compiled without it"
    except WasmtimeError as exc:
        message = " ".join(str(exc).split())
        raise ComponentError(f"is not a valid component: {message}") from exc
    code = bytes(component.serialize())
    path = cache / f"{name}.{hashlib.sha256(code).hexdigest()}.cwasm"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache.chmod(0o700)
    if reason is not None:
        _write_whole(shim.reason_path(path), reason.encode())
    _write_whole(path, code)
    return _Compiled(component, path, reason)


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name, make it durable, and only then give it its own."""
    fd, scratch = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(fd, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def main(arguments: list[str]) -> int:
    """Compile what the arguments name, print the report, and return the exit status."""
    if len(arguments) != 2:
        print("usage: python -I -m theater_worker.compile CACHE_DIR COMPONENT_FILE", file=sys.stderr)
        return 64  # EX_USAGE
    bound_compiler()
    cache, component_file = map(Path, arguments)
    status = 0
    try:
        report = compile_component(cache, component_file)
        if report.problems:
            status = ComponentError.exit_status
    except UnreadableError as exc:
        report, status = Report(None, problems=[str(exc)]), exc.exit_status
    print(json.dumps(asdict(report)))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
