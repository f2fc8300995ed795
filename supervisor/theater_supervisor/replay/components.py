"""The components that a history was made with, compiled for this machine when they are needed.

The supervisor keeps every component beside the journal, named by its hash. A kept file that does not have
that hash is not used.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from theater_supervisor.components.compile import Compiled, ComponentRefused, compile_component
from theater_supervisor.errors import SupervisorError


class ComponentUnusable(SupervisorError):
    """A component that the replay needs is missing, is not what was recorded, or does not run here."""

    exit_status = 66  # EX_NOINPUT


class Components:
    """Compiled components by their recorded SHA-256; use it in a `with` block.

    `substitute` is run in place of all of them when it is given. What is compiled goes to `cache_dir`, or to
    a scratch directory when that can't be written, as in a copy for an auditor.
    """

    def __init__(self, kept_dir: Path, cache_dir: Path, substitute: Path | None = None) -> None:
        self._kept_dir = kept_dir
        self._cache_dir = cache_dir
        self._substitute = substitute
        self._compiled: dict[Path, Compiled] = {}
        self._scratch = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            writable = os.access(self._cache_dir, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            self._cache_dir = Path(self._scratch.enter_context(TemporaryDirectory(prefix="theater-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scratch.close()

    async def compiled(self, sha256: bytes) -> Compiled:
        """Return the component recorded as `sha256`, or the substitute. Raises ComponentUnusable."""
        file = self._substitute or self._kept_dir / f"{sha256.hex()}.wasm"
        if file not in self._compiled:
            self._compiled[file] = await self._compile(file, sha256)
        return self._compiled[file]

    async def _compile(self, file: Path, sha256: bytes) -> Compiled:
        _check_presence(file, sha256)
        try:
            compiled = await compile_component(file, self._cache_dir)
        except ComponentRefused as exc:
            raise ComponentUnusable(f"{file}: {exc}") from exc
        if self._substitute is None and compiled.component_sha256 != sha256:
            raise ComponentUnusable(
                f"{file}: not the component that was recorded (its SHA-256 is "
                f"{compiled.component_sha256.hex()}): put the other one back, or name one with --component"
            )
        return compiled


def _check_presence(file: Path, sha256: bytes) -> None:
    if not file.is_file():
        raise ComponentUnusable(
            f"{file}: missing: put the component with the SHA-256 {sha256.hex()} back there, "
            "or name one with --component"
        )
