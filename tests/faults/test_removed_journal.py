"""An actor's data that is removed or replaced while it is stopped: no file without a name is gone on in."""

import shutil
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from tests.faults.actor_rig import PATIENCE_S, Remembering, compiled, running_actor
from theater_supervisor.journal.verify import verify


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_a_started_actor_looks_at_its_journal_again(tmp_path: Path, replaced: bool) -> None:
    """It waits, saying what is missing, and goes on with what is put there: the next commit is in that."""
    spec = compiled("echo")
    data, kept = tmp_path / "data", tmp_path / "kept"
    data.mkdir()

    async def work() -> None:
        async with running_actor(data, spec) as actor:
            await actor.wait_ready()
            actor.pause()
            while actor.worker_pid is not None:
                await trio.sleep(0.01)
            shutil.copytree(data, kept)
            for file in data.glob("journal.db*"):
                file.unlink()
            if replaced:
                shutil.copy(kept / "journal.db", data)
                shutil.copy(kept / "journal.db-wal", data)
            actor.resume()
            while not any(one["event"] == "journal_failed" for one in logs):
                await trio.sleep(0.01)
            assert actor.worker_pid is None
            if not replaced:
                shutil.copy(kept / "journal.db", data)
                shutil.copy(kept / "journal.db-wal", data)
            while actor.worker_pid is None:
                await trio.sleep(0.01)
            client = Remembering()
            connection = actor.connect(client)
            actor.receive(connection, "text", "hello")
            assert await client.has(1) == ["hello"]

    async def limited() -> None:
        with trio.fail_after(2 * PATIENCE_S):
            await work()

    with capture_logs() as logs:
        trio.run(limited)
    reasons = [str(one["reason"]) for one in logs if one["event"] == "journal_failed"]
    assert reasons
    assert f"was {'replaced' if replaced else 'removed'} while it was open" in reasons[0]
    verdict = verify(data / "journal.db")
    assert verdict.fault is None
    assert verdict.head.seq >= 3
