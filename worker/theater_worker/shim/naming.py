"""Names by which compiler and worker recognise the shim, and the note that says why there is none.

Kept apart from injecting, of which a worker needs nothing.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent
# What decides about the bytes that are injected, and where.
_SOURCES: Final = ("core.wat", "memory.wat", "layout.py", "inject.py", "scan.py", "fit.py")


@cache
def version() -> str:
    """Name the shim by its sources, in 16 hex digits."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update(hashlib.sha256((_HERE / source).read_bytes()).digest())
    return digest.hexdigest()[:16]


def export_name() -> str:
    """Give the name under which a component exports this version of the shim."""
    return f"theater-shim-x{version()}"


def reason_path(compiled: Path) -> Path:
    """Name the file beside compiled code without the shim that says why it has none."""
    return compiled.with_suffix(".without-shim")


def read_reason(compiled: Path) -> str | None:
    """Read why compiled code has no shim; None where nothing says so."""
    try:
        return reason_path(compiled).read_text()
    except FileNotFoundError:
        return None
