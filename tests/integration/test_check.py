"""`theater-supervise` as a command: what --check finds, what a start refuses, and how both say so."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.components import build
from tests.integration.running import write_manifest

COMMAND = Path(sys.executable).with_name("theater-supervise")
BUILD_PATIENCE_S = 400


def run(directory: Path, *arguments: str, patience_s: float = 100) -> subprocess.CompletedProcess[str]:
    """Run the command in `directory`."""
    command = [COMMAND, *arguments]
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=patience_s, check=False
    )


def problems(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The problems among what went to stderr, without the progress."""
    return [line for line in done.stderr.splitlines() if line.startswith("manifests")]


def test_check_of_fine_manifests_starts_nothing(tmp_path: Path) -> None:
    """It says which they are, exits 0, keeps nothing but compiled components, and lets go of the ports."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    write_manifest(tmp_path, "one", "echo", port=port)
    write_manifest(tmp_path, "two", "echo_variant")
    done = run(tmp_path, "--check", "manifests")
    assert (done.returncode, done.stdout) == (0, "2 manifests are fine: one, two\n")
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["cache"]
    with socket.create_server(("127.0.0.1", port)):
        pass


NO_ACTOR = {
    "text": (b"hello, world", "is not WebAssembly"),
    "empty": (b"", "is empty, not a component"),
    "cut short": (b"\0asm\x0d\0\1\0\x07", "is not a valid component: "),
    "a core module": ("core", "is a core WebAssembly module, not a component"),
    "no export": ("noexport", "does not export ntwk:theater/websocket-server"),
    "an export of another type": (
        "wrongtype",
        "exports ntwk:theater/websocket-server handle-message as func",
    ),
    "an import nobody provides": ("badimport", "imports acme:shop/till ring, which is not provided"),
}


@pytest.mark.parametrize(("component", "what"), NO_ACTOR.values(), ids=NO_ACTOR.keys())
def test_check_says_why_a_file_is_no_actor(tmp_path: Path, component: str | bytes, what: str) -> None:
    """A file that is no component, or whose exports or imports don't fit, is named with the reason."""
    wasm = build(component).read_bytes() if isinstance(component, str) else component
    (tmp_path / "actor.wasm").write_bytes(wasm)
    write_manifest(tmp_path, "a", Path("../actor.wasm"))
    done = run(tmp_path, "--check", "manifests")
    assert done.returncode == 78
    (line,) = problems(done)
    assert line.startswith(f"manifests/a.toml: component_path: manifests/../actor.wasm {what}")


PYTHON_BUILD = '\n[build]\npython = "{}"\n'


@pytest.mark.parametrize("options", [["--check"], []], ids=["check", "start"])
def test_what_costs_nothing_to_find_comes_at_once_and_first(tmp_path: Path, options: list[str]) -> None:
    """Manifest, source, secret and port: one run shows what is wrong with each, and nothing is made."""
    write_manifest(tmp_path, "key", "echo", max_conections=5)
    write_manifest(tmp_path, "component", "core")
    write_manifest(tmp_path, "fine", Path("fine.wasm"), PYTHON_BUILD.format("fine.py"))
    (tmp_path / "manifests" / "fine.py").write_text("import beside\n")
    (tmp_path / "manifests" / "beside.py").write_text("\n\ndef broken(:\n")
    write_manifest(tmp_path, "missing", Path("nowhere.wasm"))
    write_manifest(tmp_path, "nosource", Path("nosource.wasm"), PYTHON_BUILD.format("nosource.py"))
    write_manifest(tmp_path, "secret", "echo", auth={"type": "token", "file": "tokens"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        write_manifest(tmp_path, "port", "echo", port=port)
        done = run(tmp_path, *options, "manifests")
    assert (done.returncode, done.stdout) == (78, "")
    fine, key, missing, nosource, taken_port, secret = problems(done)
    assert fine.startswith(
        "manifests/fine.toml: build.python: manifests/beside.py, line 3: invalid syntax (as Python 3."
    )
    assert key == (
        'manifests/key.toml: handlers[0].config.max_conections: unknown key (did you mean "max_connections"?)'
    )
    assert missing == (
        "manifests/missing.toml: component_path: manifests/nowhere.wasm doesn't exist"
        " (build it, or say how in [build])"
    )
    assert nosource == ("manifests/nosource.toml: build.python: manifests/nosource.py doesn't exist")
    assert taken_port == (
        f"manifests/port.toml: handlers[0].config.port: 127.0.0.1 port {port} can't be bound: "
        "Address already in use (another program listens there)"
    )
    assert secret.startswith("manifests/secret.toml: handlers[0].config.auth: ")
    assert "component_build_started" not in done.stderr
    assert not (tmp_path / "var" / "data").exists()
    assert not (tmp_path / "var" / "cache").exists()
    assert not list((tmp_path / "manifests").glob("*.wasm*"))


@pytest.mark.timeout(BUILD_PATIENCE_S)
def test_every_component_s_problems_come_at_once(tmp_path: Path) -> None:
    """What is no actor and what can't be built, each tried once, when all else is right."""
    write_manifest(tmp_path, "component", "core")
    write_manifest(tmp_path, "other", "noexport")
    write_manifest(tmp_path, "source", Path("source.wasm"), PYTHON_BUILD.format("source.py"))
    (tmp_path / "manifests" / "source.py").write_text("import nowhere_to_be_found\n")
    done = run(tmp_path, "manifests", patience_s=BUILD_PATIENCE_S)
    assert (done.returncode, done.stdout) == (78, "")
    component, other, source = problems(done)
    assert component.startswith("manifests/component.toml: component_path: ")
    assert other.startswith("manifests/other.toml: component_path: ")
    assert source == "manifests/source.toml: build.python: componentize-py failed:"
    assert "ModuleNotFoundError: No module named 'nowhere_to_be_found'" in done.stderr
    assert done.stderr.count("component_build_started") == 1
    assert not list((tmp_path / "var" / "data").glob("*"))
    assert not list((tmp_path / "manifests").glob("*.wasm*"))


@pytest.mark.parametrize("options", [["--check"], []], ids=["check", "start"])
def test_a_build_that_takes_too_long_is_tried_once(tmp_path: Path, options: list[str]) -> None:
    """The problem names the key that allows more."""
    recipe = f"{PYTHON_BUILD.format('source.py')}timeout_s = 0.5\n"
    write_manifest(tmp_path, "source", Path("source.wasm"), recipe)
    (tmp_path / "manifests" / "source.py").write_text("")
    done = run(tmp_path, *options, "manifests")
    assert done.returncode == 78
    assert problems(done) == [
        "manifests/source.toml: build.timeout_s: componentize-py was not done after 0.5 s"
        " (allow more, if the source is right)"
    ]
    assert done.stderr.count("component_build_started") == 1
    assert not list((tmp_path / "manifests").glob("*.wasm*"))


def test_nothing_is_made_for_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """A wrong name on the command line leaves nothing behind."""
    done = run(tmp_path, "nosuch")
    assert (done.returncode, done.stderr) == (78, "nosuch: there is no such directory\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [["--check"], []], ids=["check", "start"])
def test_a_var_that_cannot_be_made_is_named(tmp_path: Path, options: list[str]) -> None:
    """One clear line and exit status 73, no traceback."""
    write_manifest(tmp_path, "a", "echo")
    (tmp_path / "file").touch()
    done = run(tmp_path, *options, "--var", "file/var", "manifests")
    assert (done.returncode, done.stdout) == (73, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("file/var")
    assert line.endswith("Not a directory: make file/var writable or name another --var")


def test_help_and_version(tmp_path: Path) -> None:
    """--help explains what it does, where things are kept and the exit statuses; --version is one line."""
    shown = run(tmp_path, "--help")
    assert shown.returncode == 0
    for word in ("MANIFESTS", "--check", "--var", "log/supervisor.log", "Exit status", "78"):
        assert word in shown.stdout
    assert run(tmp_path, "--version").stdout.split()[0] == "theater-supervise"


def test_a_wrong_command_line_is_a_usage_error(tmp_path: Path) -> None:
    """Without a directory there is nothing to do."""
    done = run(tmp_path)
    assert done.returncode == 2
    assert "MANIFESTS" in done.stderr
