"""Opening files that are files."""

import os
from pathlib import Path

import pytest

from tests.special_files import SPECIAL, place_special
from theater_supervisor.files import NotRegular, open_regular, read_regular, write_atomically


def open_descriptors() -> int:
    """Return how many this process has."""
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("kind", [*SPECIAL, "device"])
@pytest.mark.parametrize(
    "flags", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_CREAT], ids=["read", "append"]
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, flags: int) -> None:
    """At once, a pipe nobody else has open included; the error says what it is, no descriptor stays."""
    place_special(tmp_path / "it", kind)
    before = open_descriptors()
    with pytest.raises(NotRegular, match=f"is a {kind}, not a file") as caught:
        open_regular(tmp_path / "it", flags)
    assert caught.value.filename == str(tmp_path / "it")
    assert open_descriptors() == before


def test_a_file_is_opened_as_ever(tmp_path: Path) -> None:
    """Blocking, closed on exec, and by way of a link too."""
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    fd = open_regular(tmp_path / "link")
    try:
        assert os.get_blocking(fd)
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)
    assert read_regular(tmp_path / "link") == b"content"
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")


def test_writing_does_not_wait_for_a_pipe_in_the_way(tmp_path: Path) -> None:
    """Neither at the place of the file nor at that of the unfinished one."""
    os.mkfifo(tmp_path / "status")
    write_atomically(tmp_path / "status", b"one")
    assert (tmp_path / "status").read_bytes() == b"one"
    os.mkfifo(tmp_path / f".status.{os.getpid()}")
    with pytest.raises(NotRegular):
        write_atomically(tmp_path / "status", b"two")
    write_atomically(tmp_path / "status", b"three")
    assert (tmp_path / "status").read_bytes() == b"three"
