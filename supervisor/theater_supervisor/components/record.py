"""What a component was built from, written into the component itself, so that it goes wherever that goes.

A custom section at its end, which WebAssembly's readers skip (Component Model, binary format, "custom
section"): SHA-256 of the sources and of theater.wit. Other tools may drop it; then nothing is known.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CUSTOM_SECTION: Final = 0
_NAME: Final = b"theater-built-from"
_HASH_BYTES: Final = 32
_BODY_BYTES: Final = 1 + len(_NAME) + 2 * _HASH_BYTES
# Both lengths are below 128, so each is one byte of LEB128.
_HEAD: Final = bytes([_CUSTOM_SECTION, _BODY_BYTES, len(_NAME)]) + _NAME


@dataclass(frozen=True, slots=True)
class BuiltFrom:
    """The SHA-256 of the sources with their world, and of the WIT."""

    sources: bytes
    wit: bytes


def append_record(component: Path, built_from: BuiltFrom) -> None:
    """Write down what a component was built from. Raises OSError."""
    with component.open("ab") as stream:
        stream.write(_HEAD + built_from.sources + built_from.wit)


def read_record(component: Path) -> BuiltFrom | None:
    """Return what a component was built from, None where nothing says so. Raises OSError."""
    with component.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - len(_HEAD) - 2 * _HASH_BYTES))
        end = stream.read()
    if not end.startswith(_HEAD):
        return None
    hashes = end[len(_HEAD) :]
    return BuiltFrom(hashes[:_HASH_BYTES], hashes[_HASH_BYTES:])
