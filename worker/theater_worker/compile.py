"""`python -I -m theater_worker.compile CACHE_DIR COMPONENT_FILE`: check a component and compile it.

A process of its own, because compiling takes seconds and much memory. Prints one JSON object on one line:
`component_sha256` (hex; null if the file cannot be read), `compiled_path` (absolute; null with problems),
`exports_init`, `problems` (a list of texts). Exit status: 0, 65 with problems, 66 for an unreadable file.

A cache file's name is `<SHA-256 of the component>.<compile key>.<SHA-256 of its own bytes>.cwasm`: it fits or
it is not found, and one that was damaged shows it. Files appear whole under their name or not at all.
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

_CORE_MODULE = b"\0asm\x01\x00\x00\x00"
_COMPONENT = b"\0asm\x0d\x00\x01\x00"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a component file; printed as JSON."""

    component_sha256: str | None
    compiled_path: str | None = None
    exports_init: bool = False
    problems: list[str] = field(default_factory=list)


def compile_component(cache: Path, component_file: Path) -> Report:
    """Compile a component unless the cache has it, and check its exports and imports in either case.

    Safe to run at the same time for the same file. Raises UnreadableError.
    """
    try:
        wasm = component_file.read_bytes()
    except OSError as exc:
        raise UnreadableError(f"cannot be read: {exc.strerror}") from exc
    sha256 = hashlib.sha256(wasm).hexdigest()
    engine = new_engine()
    try:
        _check_header(wasm)
        found = _cached(cache, sha256, engine) or _compile(cache, sha256, wasm, engine)
    except ComponentError as exc:
        return Report(sha256, problems=[str(exc)])
    compiled, component = found
    interface = read_interface(component, engine)
    if interface.problems:
        return Report(sha256, problems=interface.problems)
    return Report(sha256, str(compiled.absolute()), interface.actor is not None)


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


def _cached(cache: Path, sha256: str, engine: Engine) -> tuple[Path, Component] | None:
    """Find the component's compiled code; a damaged file is removed and not found."""
    for compiled in sorted(cache.glob(f"{sha256}.{compile_key()}.*.cwasm")):
        with compiled.open("rb") as stream:
            content_sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if compiled.suffixes[-2] == f".{content_sha256}":
            try:
                return compiled, Component.deserialize_file(engine, str(compiled))
            except WasmtimeError:
                pass  # whole, but of another machine's making
        compiled.unlink(missing_ok=True)
    return None


def _compile(cache: Path, sha256: str, wasm: bytes, engine: Engine) -> tuple[Path, Component]:
    try:
        component = Component(engine, wasm)
    except WasmtimeError as exc:
        reason = " ".join(str(exc).split())
        raise ComponentError(f"is not a valid component: {reason}") from exc
    code = bytes(component.serialize())
    name = f"{sha256}.{compile_key()}.{hashlib.sha256(code).hexdigest()}.cwasm"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache.chmod(0o700)
    _write_whole(cache / name, code)
    return cache / name, component


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
