"""The component binary format: reading and writing its smallest parts.

Only what injecting a shim needs; wasmtime checks every component in the end. Source: the Component Model's
Binary.md and the WebAssembly core specification, chapter 5.
"""

from collections.abc import Iterable
from typing import Final

HEADER: Final = b"\0asm\x0d\x00\x01\x00"

# Sorts of definitions, with an index space each. In the binary a core sort follows a 0x00.
SORTS: Final = {1: "function", 2: "value", 3: "type", 4: "component", 5: "instance"}
CORE_SORTS: Final = {
    0x00: "core function",
    0x01: "core table",
    0x02: "core memory",
    0x03: "core global",
    0x04: "core tag",
    0x10: "core type",
    0x11: "core module",
    0x12: "core instance",
}
_MAX_U32_BYTES: Final = 5


class Unsupported(Exception):
    """A component that the shim cannot be put into; the message says why, in a few words."""


class Reader:
    """Reads a range of a binary from its start. Raises Unsupported for what is not there or not known."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        if end > len(data):
            raise Unsupported("it is truncated")
        self._data = data
        self._position = start
        self._end = end

    @property
    def is_at_end(self) -> bool:
        """Whether all of the range was read."""
        return self._position == self._end

    def byte(self) -> int:
        """Read one byte."""
        if self._position >= self._end:
            raise Unsupported("it is truncated")
        self._position += 1
        return self._data[self._position - 1]

    def u32(self) -> int:
        """Read an unsigned number in LEB128."""
        value = 0
        for index in range(_MAX_U32_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value
        raise Unsupported("a number is longer than 5 bytes")

    def name(self) -> str:
        """Read a name."""
        size = self.u32()
        start = self._position
        try:
            return self._data[start : self._skipped(size)].decode()
        except UnicodeDecodeError:
            raise Unsupported("a name is not UTF-8") from None

    def external_name(self) -> str:
        """Read the name of an import or export."""
        kind = self.byte()
        if kind > 1:
            raise Unsupported(f"an external name of kind {kind}")
        return self.name()

    def sort(self) -> str:
        """Read a sort."""
        code = self.byte()
        sort = CORE_SORTS.get(self.byte()) if code == 0 else SORTS.get(code)
        if sort is None:
            raise Unsupported(f"a sort {code:#x}")
        return sort

    def section(self) -> tuple[int, "Reader"]:
        """Read a section's header; return its id and a reader of its contents."""
        section_id = self.byte()
        size = self.u32()
        start = self._position
        return section_id, Reader(self._data, start, self._skipped(size))

    def _skipped(self, size: int) -> int:
        """Move over `size` bytes and return where they end."""
        if size > self._end - self._position:
            raise Unsupported("it is truncated")
        self._position += size
        return self._position


def u32(value: int) -> bytes:
    """Write an unsigned number in LEB128."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def type_index(value: int) -> bytes:
    """Write the index of a type where a value type may stand: a signed number in LEB128."""
    written = bytearray()
    while value >= 0x40:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def name(text: str) -> bytes:
    """Write a name."""
    encoded = text.encode()
    return u32(len(encoded)) + encoded


def vector(items: Iterable[bytes]) -> bytes:
    """Write items with their count in front."""
    written = list(items)
    return u32(len(written)) + b"".join(written)


def section(section_id: int, contents: bytes) -> bytes:
    """Write a section."""
    return bytes([section_id]) + u32(len(contents)) + contents
