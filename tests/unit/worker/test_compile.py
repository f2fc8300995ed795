"""The compiler process and its cache."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.components import build

EXPECTED_TYPE = (
    "func(option<list<u8>>, tuple<websocket-message>) -> "
    "result<tuple<option<list<u8>>, tuple<record {messages: list<websocket-message>}>>, string>"
)
PROVIDED = "which is not provided (only wasi:* and ntwk:theater/runtime with log are)"


def command(cache: Path, component: Path) -> list[str]:
    """Give the compiler's command line."""
    return [sys.executable, "-I", "-m", "theater_worker.compile", str(cache), str(component)]


def compile_file(cache: Path, component: Path, status: int = 0) -> dict[str, Any]:
    """Run the compiler, expect its exit status and one line of JSON, and return that."""
    done = subprocess.run(command(cache, component), capture_output=True, check=False)
    assert done.returncode == status, done.stderr
    (line,) = done.stdout.splitlines()
    report: dict[str, Any] = json.loads(line)
    assert set(report) == {"component_sha256", "compiled_path", "exports_init", "without_shim", "problems"}
    return report


def test_a_component_is_compiled_into_the_cache(tmp_path: Path) -> None:
    """The report names the component's hash and an absolute path in a directory of our own."""
    cache = tmp_path / "made" / "cache"
    report = compile_file(cache, build("init"))
    compiled = Path(report["compiled_path"])
    assert report["component_sha256"] == hashlib.sha256(build("init").read_bytes()).hexdigest()
    assert report["exports_init"] is True
    assert report["problems"] == []
    assert compiled.is_absolute()
    assert list(cache.iterdir()) == [compiled]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(compiled.stat().st_mode) == 0o600


def test_a_compiled_component_is_found_again(tmp_path: Path) -> None:
    """The second time nothing is written but the time that it was used, which keeps it from being removed."""
    first = compile_file(tmp_path, build("echo"))
    code = Path(first["compiled_path"])
    os.utime(code, (0, 0))
    before = code.stat()
    assert compile_file(tmp_path, build("echo")) == first
    after = code.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert after.st_mtime > before.st_mtime


def _flip_in_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _replace_by_another_engines(path: Path) -> None:
    """Leave a file whose name and hash are right and whose code is for another engine."""
    code = b"made by somebody else"
    parts = path.name.split(".")
    parts[2] = hashlib.sha256(code).hexdigest()
    path.unlink()
    path.with_name(".".join(parts)).write_bytes(code)


@pytest.mark.parametrize("damage", [_flip_in_the_middle, _truncate, _replace_by_another_engines])
def test_a_damaged_cache_file_is_made_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """What does not hold its promise is removed and compiled anew."""
    report = compile_file(tmp_path, build("echo"))
    compiled = Path(report["compiled_path"])
    good = compiled.read_bytes()
    damage(compiled)
    assert compile_file(tmp_path, build("echo")) == report
    assert list(tmp_path.iterdir()) == [compiled]
    assert compiled.read_bytes() == good


def test_concurrent_compilers_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Four at once give the same report, and one whole file is left."""
    pipe = subprocess.PIPE
    compilers = [subprocess.Popen(command(tmp_path, build("echo")), stdout=pipe) for _ in range(4)]
    reports = [json.loads(compiler.communicate()[0]) for compiler in compilers]
    assert [compiler.returncode for compiler in compilers] == [0] * 4
    assert reports == [reports[0]] * 4
    (compiled,) = tmp_path.iterdir()
    assert compiled.name.split(".")[2] == hashlib.sha256(compiled.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("actor", "problem"),
    [
        ("noexport", "does not export ntwk:theater/websocket-server (it exports nothing)"),
        (
            "wrongtype",
            "exports ntwk:theater/websocket-server handle-message as func(u32) -> u32"
            f" instead of {EXPECTED_TYPE}",
        ),
        ("badimport", f"imports acme:shop/till ring, {PROVIDED}"),
        (
            "core",
            "is a core WebAssembly module, not a component"
            " (embed theater.wit with `wasm-tools component embed`, then use `wasm-tools component new`)",
        ),
    ],
)
def test_what_does_not_fit_is_named_every_time(tmp_path: Path, actor: str, problem: str) -> None:
    """A component that cannot be an actor is refused by name, cached or not."""
    for _ in range(2):
        report = compile_file(tmp_path, build(actor), status=65)
        assert report["problems"] == [problem]
        assert report["compiled_path"] is None


MANY_PROBLEMS = """
(component
  (import "acme:bank/vault" (instance (export "open" (func))))
  (import "ntwk:theater/runtime" (instance
    (export "log" (func (param "code" u32)))
    (export "spawn" (func))))
  (import "ntwk:theater/types" (instance (type $state u32) (export "state" (type (eq $state)))))
  (import "wasi:sockets/tcp@0.2.0" (instance (export "listen" (func))))
  (import "shout" (func)))
"""


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    """Exports, imports and types: everything wrong is in one report."""
    component = tmp_path / "bad.wasm"
    component.write_bytes(wasmtime.wat2wasm(MANY_PROBLEMS))
    assert compile_file(tmp_path, component, status=65)["problems"] == [
        "does not export ntwk:theater/websocket-server (it exports nothing)",
        f"imports acme:bank/vault open, {PROVIDED}",
        "imports ntwk:theater/runtime log as func(u32) instead of func(string)",
        f"imports ntwk:theater/runtime spawn, {PROVIDED}",
        f"imports shout, {PROVIDED}",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty, not a component"),
        (b"#!/bin/sh\nexit", "is not WebAssembly (it starts with b'#!/bin/s'), so not a component"),
        (b"\0asm\x09\0\0\0", "is WebAssembly of an unknown version (09 00 00 00), not a component"),
        (b"\0asm\x0d\0\1\0\xff", "is not a valid component: "),
    ],
)
def test_a_file_that_is_no_component_is_described(tmp_path: Path, content: bytes, problem: str) -> None:
    """The report says what the file is instead."""
    file = tmp_path / "actor.wasm"
    file.write_bytes(content)
    report = compile_file(tmp_path / "cache", file, status=65)
    (found,) = report["problems"]
    assert found.startswith(problem)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("name", "reason"), [("missing.wasm", "No such file"), (".", "Is a directory")])
def test_an_unreadable_file_has_a_status_of_its_own(tmp_path: Path, name: str, reason: str) -> None:
    """66 (EX_NOINPUT), and still a report."""
    report = compile_file(tmp_path / "cache", tmp_path / name, status=66)
    (problem,) = report["problems"]
    assert problem.startswith(f"cannot be read: {reason}")
    assert report["component_sha256"] is None
