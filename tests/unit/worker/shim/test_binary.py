"""The binary format's smallest parts, read and written."""

from collections.abc import Callable

import pytest

from theater_worker.shim import binary
from theater_worker.shim.binary import Reader, Unsupported


def reader(data: bytes) -> Reader:
    """Read all of `data`."""
    return Reader(data, 0, len(data))


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 300, 16383, 16384, (1 << 32) - 1])
def test_numbers_are_read_as_written(value: int) -> None:
    """Unsigned LEB128 there and back, all of it used."""
    written = reader(binary.u32(value))
    assert written.u32() == value
    assert written.is_at_end


def test_a_type_index_is_a_signed_number() -> None:
    """Where a value type may stand 64 needs a second byte, or it would be read as -64."""
    assert binary.type_index(63) == b"\x3f"
    assert binary.type_index(64) == b"\xc0\x00"
    assert binary.type_index(8191) == b"\xff\x3f"
    assert binary.type_index(8192) == b"\x80\xc0\x00"


def test_names_and_sections_are_read_as_written() -> None:
    """A section of a vector of names."""
    written = reader(binary.section(7, binary.vector([binary.name("naïve"), binary.name("")])))
    section_id, contents = written.section()
    assert (section_id, contents.u32(), contents.name(), contents.name()) == (7, 2, "naïve", "")
    assert written.is_at_end
    assert contents.is_at_end


def test_sorts_have_names() -> None:
    """Core sorts come after a zero."""
    assert [reader(code).sort() for code in (b"\x01", b"\x05", b"\0\x00", b"\0\x12")] == [
        "function",
        "instance",
        "core function",
        "core instance",
    ]


@pytest.mark.parametrize(
    ("data", "read", "reason"),
    [
        (b"", Reader.byte, "it is truncated"),
        (b"\x80", Reader.u32, "it is truncated"),
        (b"\x80" * 6, Reader.u32, "a number is longer than 5 bytes"),
        (b"\x05abc", Reader.name, "it is truncated"),
        (b"\x01\xff", Reader.name, "a name is not UTF-8"),
        (b"\x02\x00", Reader.external_name, "an external name of kind 2"),
        (b"\x09", Reader.sort, "a sort 0x9"),
        (b"\x00\x09", Reader.sort, "a sort 0x0"),
        (b"\x01\x7f\x00", Reader.section, "it is truncated"),
    ],
)
def test_what_is_not_there_is_unsupported(data: bytes, read: Callable[[Reader], object], reason: str) -> None:
    """Short or unknown input is an Unsupported with a reason, nothing else."""
    with pytest.raises(Unsupported) as caught:
        read(reader(data))
    assert str(caught.value) == reason


def test_a_range_beyond_the_data_is_unsupported() -> None:
    """A reader never looks further than its data."""
    with pytest.raises(Unsupported):
        Reader(b"abc", 1, 4)
