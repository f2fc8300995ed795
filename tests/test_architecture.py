"""The rooms: who may import whom, and which library lives in which one file."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [
    ROOT / "protocol" / "theater_protocol",
    ROOT / "supervisor" / "theater_supervisor",
    ROOT / "worker" / "theater_worker",
]
MODULES = sorted(module for package in PACKAGES for module in package.rglob("*.py"))
SOLE_USERS = {
    "cbor2": {"protocol/theater_protocol/cbor.py"},
    "trio_websocket": {"supervisor/theater_supervisor/gateway/connection/wire.py"},
    "wsproto": {"supervisor/theater_supervisor/gateway/connection/wire.py"},
}
STDLIB = sys.stdlib_module_names
WORKER_LIBRARIES = {"theater_protocol", "theater_worker", "wasmtime"}


def imported(module: Path) -> Iterator[str]:
    """The top-level names of what a module imports."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(module=str() as name, level=0):
                yield name.partition(".")[0]


@pytest.mark.parametrize("library", SOLE_USERS)
def test_a_library_is_used_in_one_file(library: str) -> None:
    """What is particular about a library is known in one place."""
    users = {str(module.relative_to(ROOT)) for module in MODULES if library in imported(module)}
    assert users == SOLE_USERS[library]


def test_the_worker_imports_nothing_else() -> None:
    """The stdlib, wasmtime and the protocol: whatever runs beside a component is small."""
    foreign = {
        f"{module.name}: {name}"
        for module in MODULES
        if "theater_worker" in module.parts
        for name in imported(module)
        if name not in STDLIB | WORKER_LIBRARIES
    }
    assert not foreign


def test_imports_are_absolute() -> None:
    """A module is named the same way everywhere."""
    relative = [
        str(module)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_a_module_says_what_lives_in_it(module: Path) -> None:
    """Every module opens with a docstring."""
    assert ast.get_docstring(ast.parse(module.read_text()))


def test_import_contracts_are_kept() -> None:
    """import-linter's contracts in pyproject.toml hold."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
