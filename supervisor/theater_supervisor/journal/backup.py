"""A whole copy of an actor's data, of a live journal too, and the way back.

A copy is verified before it has its name. Which actor's data goes where is the caller's matter.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import apsw

from theater_supervisor.errors import SupervisorError
from theater_supervisor.journal import schema
from theater_supervisor.journal.bodies import Bodies
from theater_supervisor.journal.errors import JournalRefused, failure
from theater_supervisor.journal.reader import read
from theater_supervisor.journal.verify import Verdict, verify

JOURNAL: Final = "journal.db"
COMPONENTS: Final = "components"

_PART_BYTES: Final = 1024 * 1024


class InTheWay(SupervisorError):
    """Where a copy is to go there is something already."""

    exit_status = 73  # EX_CANTCREAT


def back_up(data: Path, target: Path) -> Verdict:
    """Copy an actor's journal, large bodies and components from `data` to the new directory `target`.

    A live actor goes on meanwhile; its retention deletes nothing that the copy needs. Returns what verifying
    the copy found, whose fault is one of the journal itself. Raises InTheWay, JournalRefused, JournalFailed,
    OSError.
    """
    _refuse_existing(target)
    with read(data / JOURNAL):
        pass  # no journal, or none of a schema that is known here
    unfinished = _begin(target)
    try:
        _copy_journal(data / JOURNAL, unfinished / JOURNAL)
        return _finish(data, unfinished, target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def restore(source: Path, target: Path, head: bytes | None) -> Verdict:
    """Copy a backup to `target`, the data directory of an actor that has none.

    Raises InTheWay, JournalRefused when the copy does not verify or lacks the noted `head`, JournalFailed,
    OSError; then nothing is there.
    """
    _refuse_existing(target)
    unfinished = _begin(target)
    try:
        for file in source.glob(f"{JOURNAL}*"):
            if not file.name.endswith("-shm"):
                shutil.copyfile(file, unfinished / file.name)
        verdict = verify(unfinished / JOURNAL, head)
        if verdict.fault is not None:
            raise JournalRefused(f"{source / JOURNAL}: {verdict.fault}: nothing was restored")
        return _finish(source, unfinished, target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _refuse_existing(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InTheWay(
            f"{target}: is there already, and was left as it is: move it away or name another place"
        )


def _begin(target: Path) -> Path:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    unfinished.mkdir(mode=0o700, parents=True)
    return unfinished


def _copy_journal(source: Path, target: Path) -> None:
    """Copy the journal as of one moment, and the bodies that its rows tell of.

    These are held open from that moment on: they can be read when retention has deleted their names.
    """
    bodies = Bodies(source)
    try:
        with ExitStack() as stack:
            with _quiet(source):
                reader = _connect(source, apsw.SQLITE_OPEN_READONLY, stack)
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM head").get  # noqa: B018 - the moment is that of the first read
                held = {file: _hold(bodies.path(file), stack) for file in bodies.files()}
            _copy_pages(reader, target)
            for file, (opened, size) in held.items():
                with Bodies(target).path(file).open("xb") as copy:
                    _copy_part(opened, copy, size)
    except apsw.Error as exc:
        raise failure(exc, "copying", source) from exc


def _hold(path: Path, stack: ExitStack) -> tuple[BinaryIO, int]:
    """Open a file that is only appended to; what comes after its present size is of later transitions."""
    opened = stack.enter_context(path.open("rb"))
    return opened, os.fstat(opened.fileno()).st_size


def _copy_part(opened: BinaryIO, copy: BinaryIO, size: int) -> None:
    while size and (part := opened.read(min(size, _PART_BYTES))):
        copy.write(part)
        size -= len(part)


@contextmanager
def _quiet(source: Path) -> Iterator[None]:
    """Let nothing be committed meanwhile, by a lock that the actor waits for."""
    if not os.access(source, os.W_OK):  # nor can anybody else here
        yield
        return
    with ExitStack() as stack:
        writer = _connect(source, apsw.SQLITE_OPEN_READWRITE, stack)
        writer.execute("BEGIN IMMEDIATE")
        yield
        writer.execute("ROLLBACK")


def _connect(source: Path, flags: int, stack: ExitStack) -> apsw.Connection:
    connection = apsw.Connection(os.fspath(source), flags=flags)
    stack.callback(connection.close)
    connection.set_busy_timeout(schema.BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def _copy_pages(reader: apsw.Connection, target: Path) -> None:
    """Copy what `reader`, in its transaction, sees of the database."""
    copy = apsw.Connection(os.fspath(target))
    try:
        with copy.backup("main", reader, "main") as pages:
            pages.step()
    finally:
        copy.close()


def _finish(source: Path, unfinished: Path, target: Path) -> Verdict:
    """Add the components, make all of it durable, and give it its name."""
    if (source / COMPONENTS).is_dir():
        shutil.copytree(source / COMPONENTS, unfinished / COMPONENTS)
    verdict = verify(unfinished / JOURNAL)
    for path in (*(path for path in unfinished.rglob("*")), unfinished):
        _sync(path)
    unfinished.rename(target)
    _sync(target.parent)
    return verdict


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
