"""What an actor's Python source is made of: the files that it imports, what they hash to, what is no Python.

Files are read and parsed, never run. Whether a component has to be built from them is build.py's decision.
"""

import ast
import hashlib
import site
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that can't be read as Python. `line` is None where that is no matter of a line."""

    file: Path
    line: int | None
    what: str

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else str(self.file)
        return f"{where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Sources:
    """The SHA-256 over all files that go into a component, and those that it can't be built from."""

    sha256: bytes
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class _Module:
    """A module found; `package` is what its relative imports start from."""

    name: str
    package: str
    file: Path
    is_own: bool


@dataclass(slots=True)
class _Search:
    """A walk through imports: own modules beside the source first, then installed ones."""

    own: Path
    installed: Sequence[Path]
    seen: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def follow(self, module: _Module) -> None:
        waiting = [module]
        while waiting:
            module = waiting.pop()
            if module.name in self.seen:
                continue
            for name in _imported(self._read(module), module.package):
                waiting += self._find(name)

    def _read(self, module: _Module) -> ast.Module:
        try:
            text = module.file.read_bytes()
        except OSError as error:
            self.seen[module.name] = b""
            self.faults.append(Fault(module.file, None, f"can't be read: {error.strerror}"))
            return ast.Module([], [])
        self.seen[module.name] = hashlib.sha256(text).digest()
        tree, fault = _parse(text, module.file)
        # What others have published may have files for other Pythons.
        if fault and module.is_own:
            self.faults.append(fault)
        return tree

    def _find(self, name: str) -> Iterator[_Module]:
        """Find a name's modules: the packages that it is in, then itself, as far as there are files."""
        parts = name.split(".")
        for directory in (self.own, *self.installed):
            if found := list(_modules(directory, parts, is_own=directory == self.own)):
                yield from found
                return


def read_sources(source: Path) -> Sources:
    """Read a source and all that it imports from beside it and from this interpreter's environment.

    Imports are found wherever they stand in a file. The standard library is the component's own.
    """
    search = _Search(source.parent, installed_packages())
    search.follow(_Module(source.stem, "", source, is_own=True))
    whole = hashlib.sha256()
    for name, digest in sorted(search.seen.items()):
        whole.update(hashlib.sha256(name.encode()).digest() + digest)
    return Sources(whole.digest(), tuple(search.faults))


def installed_packages() -> list[Path]:
    """Return where the modules are that are installed beside this supervisor."""
    return [path for path in map(Path, site.getsitepackages()) if path.is_dir()]


def _parse(text: bytes, file: Path) -> tuple[ast.Module, Fault | None]:
    try:
        tree = ast.parse(text, str(file))
        # Some rules, such as where `return` may stand, are the compiler's.
        compile(tree, str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        return ast.Module([], []), Fault(file, error.lineno, _wording(error.msg))
    except ValueError as error:  # a null byte, in Python 3.11
        return ast.Module([], []), Fault(file, None, _wording(str(error)))
    except (RecursionError, MemoryError):
        return ast.Module([], []), Fault(file, None, "is nested too deeply")
    return tree, None


def _wording(message: str) -> str:
    return f"{message} (as Python {sys.version_info.major}.{sys.version_info.minor} reads it)"


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = _absolute(module, package, level)
                # What is imported from a package may be a module of it.
                yield from (f"{base}.{alias.name}" if base else alias.name for alias in names)


def _absolute(module: str | None, package: str, level: int) -> str:
    if not level:
        return module or ""
    parts = package.split(".") if package else []
    above = parts[: len(parts) - (level - 1)]
    return ".".join([*above, *([module] if module else [])])


def _modules(directory: Path, parts: Sequence[str], *, is_own: bool) -> Iterator[_Module]:
    for depth in range(1, len(parts) + 1):
        name, place = ".".join(parts[:depth]), directory.joinpath(*parts[:depth])
        if (file := place / "__init__.py").is_file():
            yield _Module(name, name, file, is_own)
        elif (file := place.with_name(f"{place.name}.py")).is_file():
            yield _Module(name, ".".join(parts[: depth - 1]), file, is_own)
            return
        elif not place.is_dir():  # a directory without __init__.py is a package, too (PEP 420)
            return
