"""Commits whose sync the kernel does while the event loop goes on, and what is left where it can't."""

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.faults.disk import FailingDisk
from tests.unit.journal.model import ACTOR, COMPONENT, Model, Script
from theater_supervisor.journal import kernel_sync, store
from theater_supervisor.journal.kernel_sync import KernelSync
from theater_supervisor.journal.log_file import LogFile
from theater_supervisor.journal.pace import Pace
from theater_supervisor.journal.store import Journal, JournalFailed
from theater_supervisor.journal.verify import verify

BATCH = Script(3).batch(Model(), size=12)


class _Willing(Pace):
    """Allows everything, however slow this machine is."""

    def allows(self, entries: int, now_s: float) -> bool:
        return True


@pytest.fixture(autouse=True)
def _pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "_pace", _Willing())
    monkeypatch.setattr(Journal, "_sync_pace", _Willing())


class _Gated(LogFile):
    """A log whose sync ends when the test says so."""

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self.begun, self.may_end = trio.Event(), trio.Event()

    def can_sync_meanwhile(self) -> bool:
        return True

    async def sync_meanwhile(self) -> None:
        self.begun.set()
        await self.may_end.wait()


class _WithoutKernel(LogFile):
    """A log on a system that refuses asynchronous I/O; counts the syncs that somebody waits in."""

    syncs = 0

    def can_sync_meanwhile(self) -> bool:
        return False

    def sync(self, *, awake: bool = False) -> None:
        self.syncs += 1
        super().sync(awake=awake)


class _Noting(LogFile):
    """A log that notes how each sync was asked for, and is synced at once."""

    def __init__(self, database: Path) -> None:
        super().__init__(database)
        self.awake: list[bool] = []

    def sync(self, *, awake: bool = False) -> None:
        self.awake.append(awake)

    async def sync_meanwhile(self) -> None:
        await trio.lowlevel.checkpoint()


async def _open(path: Path, log_file: Callable[[Path], LogFile], vfs: str | None = None) -> Journal:
    return await Journal.open(
        path,
        actor=ACTOR,
        component_sha256=COMPONENT,
        initial_state=None,
        durability="power-loss",
        vfs=vfs,
        log_file=log_file,
    )


class _Unwilling(Pace):
    """Allows nothing."""

    def allows(self, entries: int, now_s: float) -> bool:
        return False


def test_a_single_event_whose_sync_takes_long_does_not_hold_the_loop_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel syncs meanwhile, and no thread has to be waited for."""
    monkeypatch.setattr(Journal, "_sync_pace", _Unwilling())
    log = _Gated(tmp_path / "journal.db")

    async def work() -> None:
        journal, batch = await _open(tmp_path / "journal.db", lambda _: log), Script(3).batch(Model(), size=1)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(journal.commit, batch.entries, batch.update)
                await log.begun.wait()
                assert journal.head.seq == 0
                log.may_end.set()
        assert journal.head.seq == batch.after.seq
        await journal.aclose()

    trio.run(work)


def test_a_commit_ends_with_its_sync_and_not_before(tmp_path: Path) -> None:
    """Nothing is acknowledged meanwhile, also to who cancels; the next commit waits for its turn."""
    log = _Gated(tmp_path / "journal.db")

    async def work() -> None:
        journal = await _open(tmp_path / "journal.db", lambda _: log)
        second = Script(4).batch(BATCH.after)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.commit, BATCH.entries, BATCH.update)
            await log.begun.wait()
            nursery.start_soon(journal.commit, second.entries, second.update)
            await trio.testing.wait_all_tasks_blocked()
            assert journal.head.seq == 0
            log.may_end.set()
        assert journal.head.seq == second.after.seq
        log.begun, log.may_end = trio.Event(), trio.Event()
        third = Script(5).batch(second.after, size=12)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.commit, third.entries, third.update)
            await log.begun.wait()
            nursery.cancel_scope.cancel()
            assert journal.head.seq == second.after.seq
            log.may_end.set()
        assert journal.head.seq == third.after.seq
        await journal.aclose()

    async def limited() -> None:
        with trio.fail_after(30):
            await work()

    trio.run(limited)
    assert verify(tmp_path / "journal.db").fault is None


def test_a_sync_that_fails_meanwhile_fails_the_commit(tmp_path: Path) -> None:
    """It is named, nothing is acknowledged, and after recovery the journal goes on from what is there."""
    disk = FailingDisk()

    async def work() -> None:
        journal = await _open(tmp_path / "journal.db", disk.log_file, disk.vfs)
        await journal.commit(BATCH.entries, BATCH.update)
        acknowledged = journal.head
        batch = Script(4).batch(BATCH.after, size=12)
        for nth in range(1, 100):
            disk.fail_at(nth, "EIO", lasting=False)
            try:
                await journal.commit(batch.entries, batch.update)
            except JournalFailed as exc:
                failed = str(exc)
                assert journal.head == acknowledged
                await journal.recover()
                if "syncing" in failed:
                    break
                assert journal.head == acknowledged
        assert "I/O error" in failed
        assert journal.head.seq == batch.after.seq
        after = Script(6).batch(batch.after, size=12)
        await journal.commit(after.entries, after.update)
        assert journal.head.seq == after.after.seq
        await journal.aclose()

    async def limited() -> None:
        with trio.fail_after(30):
            await work()

    trio.run(limited)
    assert verify(tmp_path / "journal.db").fault is None


def test_without_the_kernels_help_somebody_waits_for_the_disk(tmp_path: Path) -> None:
    """Where asynchronous I/O is refused each commit still ends with its sync."""
    log = _WithoutKernel(tmp_path / "journal.db")

    async def work() -> None:
        journal = await _open(tmp_path / "journal.db", lambda _: log)
        for number, batch in enumerate(Script(3).batches(Model(), 5), 1):
            await journal.commit(batch.entries, batch.update)
            assert log.syncs == number
        await journal.aclose()

    trio.run(work)


def test_the_processor_stays_awake_only_for_one_event_right_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that waits for each answer is worth it; one after a pause is not, and neither is a batch."""
    log, now_s = _Noting(tmp_path / "journal.db"), 1000.0
    monkeypatch.setattr(store.time, "monotonic", lambda: now_s)

    async def work() -> None:
        nonlocal now_s
        journal, model = await _open(tmp_path / "journal.db", lambda _: log), Model()
        script = Script(3)
        for pause_s, size in ((0.0, 1), (0.001, 1), (0.001, 2), (0.003, 1), (0.001, 6), (0.001, 1)):
            now_s += pause_s
            batch = script.batch(model, size=size)
            await journal.commit(batch.entries, batch.update)
            model = batch.after
        await journal.aclose()

    trio.run(work)
    assert log.awake == [False, True, True, False, True]


@pytest.mark.skipif(KernelSync.where_offered() is None, reason="the kernel offers no asynchronous I/O here")
def test_a_sync_with_the_processor_awake_ends_and_fails_as_another_does(tmp_path: Path) -> None:
    """By turns with ones that a task awaits; what cannot be synced is said as os.fdatasync says it."""

    async def work() -> None:
        kernel = KernelSync()
        with (tmp_path / "file").open("wb", buffering=0) as file, trio.fail_after(30):
            for _ in range(20):
                file.write(bytes(8192))
                kernel.fdatasync_awake(file.fileno())
                await kernel.fdatasync(file.fileno())
        reader, writer = os.pipe()
        with pytest.raises(OSError, match="Invalid argument"):
            kernel.fdatasync_awake(reader)
        os.close(reader)
        os.close(writer)
        kernel.close()

    trio.run(work)


@pytest.mark.skipif(KernelSync.where_offered() is None, reason="the kernel offers no asynchronous I/O here")
def test_a_signal_does_not_end_a_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as the SIGTERM that stops the supervisor: no commit fails because of it."""
    monkeypatch.setattr(kernel_sync, "_AWAKE_S", 0)
    over, this_thread = threading.Event(), threading.get_ident()

    def interrupt() -> None:
        while not over.wait(0.00005):
            signal.pthread_kill(this_thread, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    try:
        kernel = KernelSync()
        with (tmp_path / "file").open("wb", buffering=0) as file:
            for _ in range(300):
                file.write(bytes(8192))
                kernel.fdatasync_awake(file.fileno())
        kernel.close()
    finally:
        over.set()
        interrupter.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.skipif(KernelSync.where_offered() is None, reason="the kernel offers no asynchronous I/O here")
def test_the_kernel_syncs_while_other_tasks_run(tmp_path: Path) -> None:
    """One sync after another on the same place; what cannot be synced is said as os.fdatasync says it."""
    turns = 0

    async def count(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal turns
        task_status.started()
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def work() -> None:
        kernel = KernelSync()
        with (tmp_path / "file").open("wb", buffering=0) as file, trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                await nursery.start(count)
                for _ in range(20):
                    file.write(bytes(8192))
                    await kernel.fdatasync(file.fileno())
                nursery.cancel_scope.cancel()
        reader, writer = os.pipe()
        with pytest.raises(OSError, match="Invalid argument"):
            await kernel.fdatasync(reader)
        os.close(reader)
        os.close(writer)
        kernel.close()
        kernel.close()

    trio.run(work)
    assert turns >= 20
