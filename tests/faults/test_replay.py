"""Replay: a history comes to the same bit for bit, and whatever does not is found at the first event."""

import re
import sys
from hashlib import sha256
from pathlib import Path

import pytest
import trio

from tests.components import build
from tests.faults.replaying import MEMORY_BYTES, replayed, states
from tests.unit.replay.recorded import NAME, Recorded, Recorder
from theater_protocol.framing import encode_frame
from theater_protocol.items import to_item
from theater_protocol.messages import Changed, Deliver, Limits, Ready, Reply, Result, Start, Stop, Unchanged
from theater_supervisor.journal.reader import rows
from theater_supervisor.journal.retention import Retention
from theater_supervisor.journal.verify import verify
from theater_supervisor.replay import scratch
from theater_supervisor.replay.comparison import Effect
from theater_supervisor.replay.components import Components, ComponentUnusable
from theater_supervisor.replay.replay import StateUnavailable, Verdict
from theater_supervisor.replay.scratch import scratch_worker

PATIENCE_S = 30


def counted(var: Path, retention: Retention | None = None) -> Recorder:
    """Record a counter with three instances, and a delivery that workers died on before the last."""
    recorder = Recorder(var, build("counter"), retention or Retention())
    recorder.instance()  # 1
    recorder.connect()  # 2
    recorder.event("ping", b"1")  # 3
    recorder.event("binary", b"not counted")  # 4
    recorder.count(100)  # 5 to 104
    recorder.instance()  # 105
    recorder.count(3)  # 106 to 108
    recorder.event("text", "deadly", "poison")  # 109
    recorder.instance()  # 110
    recorder.count(2)  # 111, 112
    recorder.event("close", None)  # 113
    return recorder


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A history that nobody changes."""
    return counted(tmp_path_factory.mktemp("history")).close()


def test_a_history_replays_across_instances(history: Recorded) -> None:
    """Every event is run and comes to the same; what was quarantined is left out."""
    assert replayed(history.data) == Verdict(
        first_seq=1, last_seq=113, identical=109, instances=3, quarantined=1
    )


def test_a_state_that_an_operator_set_is_begun_with(tmp_path: Path) -> None:
    """What follows begins with it, as does the state there and later; seals are passed over."""
    recorder = counted(tmp_path, Retention(keep_events=10_000, step_events=8))
    recorder.commit("state", b"1000", connection=0, update=Changed(b"1000"))
    set_at = recorder.seq
    recorder.instance()
    recorder.connect(2)
    recorder.count(3, connection=2)
    recorded = recorder.close()
    verdict = replayed(recorded.data)
    assert (verdict.divergence, verdict.instances, verdict.quarantined) == (None, 4, 1)
    assert verdict.last_seq > set_at
    assert states(recorded.data, [set_at - 1, set_at, verdict.last_seq]) == [b"105", b"1000", b"1003"]


def test_a_replay_can_begin_near_its_end(history: Recorded) -> None:
    """At the nearest instance whose state is kept."""
    assert replayed(history.data, from_seq=112) == Verdict(
        first_seq=110, last_seq=113, identical=3, instances=1
    )


def test_earlier_states_are_found_by_replay(history: Recorded) -> None:
    """At every kind of transition, in every instance, also after the quarantined one; none is None."""
    seqs = [0, 4, 5, 67, 68, 69, 104, 105, 106, 108, 109, 110, 113]
    counts = [None, None, 1, 63, 64, 65, 100, 100, 101, 103, 103, 103, 105]
    assert states(history.data, seqs) == [None if count is None else b"%d" % count for count in counts]


def test_a_changed_component_is_caught_at_the_first_event_that_differs(history: Recorded) -> None:
    """`init` does not count: until the first text it does the same as counter."""
    verdict = replayed(history.data, build("init"))
    assert verdict.divergence is not None
    assert verdict.divergence.transition.seq == 5
    assert verdict.divergence.aspects == ["replies", "state_hash"]
    assert verdict.divergence.recorded.replies == (Reply("text", "1 hello"),)
    assert verdict.divergence.replayed is not None
    assert verdict.divergence.replayed.state_hash is None
    assert (verdict.identical, verdict.last_seq) == (3, 4)


FORGERIES = {
    "reply": (("ok", (Reply("text", "41 hello"),), b"6"), ["replies"]),
    "no reply": (("ok", (), b"6"), ["replies"]),
    "state": (("ok", (Reply("text", "6 hello"),), b"7"), ["state_hash"]),
    "trap": (("trap", (), None), ["outcome", "replies", "state_hash"]),
    "timeout": (("timeout", (), None), ["outcome", "replies", "state_hash"]),
    "err": (("err", (), None), ["outcome", "replies", "state_hash"]),
}


@pytest.mark.parametrize("forged", FORGERIES)
def test_what_was_recorded_wrongly_is_caught_where_it_was(tmp_path: Path, forged: str) -> None:
    """The chain itself is sound, only what it says is not what the component does; both sides are shown."""
    (outcome, replies, state), aspects = FORGERIES[forged]
    recorder = Recorder(tmp_path, build("counter"))
    recorder.instance()
    recorder.connect()
    recorder.count(5)
    recorder.commit(
        "text",
        "hello",
        outcome=outcome,  # type: ignore[arg-type]
        replies=replies,
        update=Changed(state) if state else None,
    )
    recorder.event("close", None)
    verdict = replayed(recorder.close().data)
    assert verdict.divergence is not None
    assert verdict.divergence.transition.seq == 8
    assert verdict.divergence.aspects == aspects
    assert verdict.divergence.replayed == Effect("ok", (Reply("text", "6 hello"),), sha256(b"6").digest())
    assert (verdict.identical, verdict.last_seq) == (6, 7)


# Retention.


def test_retention_leaves_the_rest_to_replay(tmp_path: Path) -> None:
    """From the first instance whose state is kept; what came before is accounted for."""
    recorder = counted(tmp_path, Retention(keep_events=16, step_events=8))
    data = recorder.close().data
    first_seq = verify(data / "journal.db").first_seq
    kept = [transition for _, transition in rows(data / "journal.db", first_seq)]
    begun = next(one.seq for one in kept if one.kind == "instance")
    assert first_seq < begun
    verdict = replayed(data)
    assert verdict == Verdict(
        first_seq=begun,
        last_seq=kept[-1].seq,
        identical=6,
        instances=2,
        quarantined=1,
        unreachable=sum(one.seq < begun and one.kind != "seal" for one in kept),
    )
    texts = [one.seq for one in kept if one.seq > begun and one.kind == "text"]
    assert states(data, [begun, texts[1], kept[-1].seq]) == [b"100", b"102", b"105"]


@pytest.mark.parametrize(
    ("seq", "why"),
    [(3, "retention dropped it"), (116, "the one to begin with"), (150, "the newest is")],
)
def test_a_state_that_is_gone_is_refused(tmp_path: Path, seq: int, why: str) -> None:
    """Dropped, without a state to begin with, or not there yet."""
    recorder = counted(tmp_path, Retention(keep_events=16, step_events=8))
    with pytest.raises(StateUnavailable, match=why):
        states(recorder.close().data, [seq])


def test_a_history_that_retention_left_no_beginning_runs_nothing(tmp_path: Path) -> None:
    """One worker, still running, whose first events are gone."""
    recorder = Recorder(tmp_path, build("counter"), Retention(keep_events=8, step_events=8))
    recorder.instance()
    recorder.connect()
    recorder.count(30)
    data = recorder.close().data
    verdict = verify(data / "journal.db")
    kept = [transition.kind for _, transition in rows(data / "journal.db", verdict.first_seq)]
    assert replayed(data) == Verdict(unreachable=kept.count("text"))
    assert states(data, [verdict.head.seq]) == [b"30"]


# Components.


def test_a_missing_component_is_named(tmp_path: Path) -> None:
    """With its hash and the way out."""
    recorder = counted(tmp_path)
    data = recorder.close().data
    next((data / "components").iterdir()).unlink()
    with pytest.raises(ComponentUnusable, match=recorder.component_sha256.hex()):
        replayed(data)
    assert replayed(data, build("counter")).identical == 109


def test_another_component_under_its_name_is_not_run(tmp_path: Path) -> None:
    """A kept component is what was recorded or it is not used."""
    data = counted(tmp_path).close().data
    next((data / "components").iterdir()).write_bytes(build("echo").read_bytes())
    with pytest.raises(ComponentUnusable, match="not the component that was recorded"):
        replayed(data)


def test_a_component_that_is_none_is_refused(tmp_path: Path, history: Recorded) -> None:
    """With the reason."""
    none = tmp_path / "none.wasm"
    none.write_text("no component")
    with pytest.raises(ComponentUnusable, match="is not WebAssembly"):
        replayed(history.data, none)


def test_a_copy_without_a_writable_cache_replays(history: Recorded, tmp_path: Path) -> None:
    """What is compiled goes to a scratch directory, which is removed."""
    (tmp_path / "cache").write_text("not a directory")

    async def main() -> Path:
        with Components(history.data / "components", tmp_path / "cache") as components:
            kept = next((history.data / "components").iterdir())
            compiled = await components.compiled(bytes.fromhex(kept.stem))
            assert compiled.path.is_file()
            return compiled.path

    assert not trio.run(main).parent.exists()


# Workers that do not do their part.

START = Start(NAME, "/nowhere.cwasm", sha256(b"").digest(), Limits(100_000, MEMORY_BYTES), bytes(32), None)
TEXT = Deliver(1, 1, "text", 0, "hello")


def fake_worker(body: str) -> list[str]:
    """A command that does what `body` says in place of a worker."""
    return [sys.executable, "-I", "-c", f"import os, sys, time\n{body}"]


def write(frame: Ready | Result | Stop) -> str:
    """Python that writes a frame and keeps the pipe open."""
    return f"os.write(1, {encode_frame(to_item(frame))!r})"


READY_FRAME = write(Ready(START.component_sha256, False))
NOT_STARTING = {
    "ends": ("print('out of luck', file=sys.stderr); sys.exit(65)", r"ended \(exited 65 .*out of luck"),
    "is killed": ("os.kill(os.getpid(), 9)", r"ended \(exited SIGKILL"),
    "is silent": ("time.sleep(60)", r"not ready within 1 s \(exited SIGKILL"),
    "garbage": ("os.write(1, b'\\0\\0\\0\\1\\xff'); time.sleep(60)", r"broke the protocol: not valid CBOR"),
    "not Ready": (write(Stop()) + "; time.sleep(60)", r"broke the protocol"),
}


@pytest.mark.parametrize("fault", NOT_STARTING)
def test_a_worker_that_does_not_start_is_described(fault: str) -> None:
    """How it ended, and its last words; it is gone afterwards."""
    body, expected = NOT_STARTING[fault]

    async def main() -> str | None:
        with trio.fail_after(PATIENCE_S):
            async with scratch_worker(START, fake_worker(body), start_s=1.0) as worker:
                assert worker._process.returncode is not None
                return worker.failure

    failure = trio.run(main)
    assert failure is not None
    assert failure.startswith("the worker ")
    assert re.search(expected, failure), failure


NOT_ANSWERING = {
    "ends": ("sys.exit(70)", r"ended \(exited 70"),
    "is silent": ("time.sleep(60)", r"no answer to a delivery within 0.5 s"),
    "another delivery": (
        write(Result(2, "ok", None, (), None, Unchanged())) + "; time.sleep(60)",
        "a result that was not awaited",
    ),
    "ready again": (READY_FRAME + "; time.sleep(60)", "a result that was not awaited"),
}


@pytest.mark.parametrize("fault", NOT_ANSWERING)
def test_a_worker_that_does_not_answer_is_described(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no more results, and is gone when that is known."""
    monkeypatch.setattr(scratch, "ANSWER_MARGIN_S", 0.4)
    body, expected = NOT_ANSWERING[fault]

    async def main() -> str | None:
        command = fake_worker(f"{READY_FRAME}\nos.read(0, 1); time.sleep(0.2)\n{body}")
        with trio.fail_after(PATIENCE_S):
            async with scratch_worker(START, command) as worker:
                assert worker.failure is None
                assert await worker.answer([TEXT]) == []
                assert worker._process.returncode is not None
                return worker.failure

    failure = trio.run(main)
    assert failure is not None
    assert re.search(expected, failure), failure
