"""`theaterctl chain` as an operator runs it: on a running supervisor's journal, then on a stopped one's."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.integration.running import ask, client, close_code, supervisor, write_manifest

THEATERCTL = Path(sys.executable).with_name("theaterctl")
WHEN = ("live", "stopped")


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """What it printed."""
        return self.stdout.decode()

    @property
    def lines(self) -> list[str]:
        """What it printed, line by line."""
        return self.text.splitlines()


def theaterctl(var: Path, *arguments: str, **environment: str) -> Done:
    """Run the command to its end."""
    done = subprocess.run(
        [THEATERCTL, "--var", var, *arguments],
        capture_output=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


COMMANDS: Mapping[str, tuple[str, ...]] = {
    "verify": ("verify", "counter"),
    "verify --json": ("verify", "counter", "--json"),
    "show": ("show", "counter"),
    "show --since-seq": ("show", "counter", "--since-seq", "4", "--json"),
    "export": ("export", "counter"),
    "head": ("head", "counter"),
    "head --json": ("head", "counter", "--json"),
    "replay": ("replay", "counter"),
    "replay --json": ("replay", "counter", "--json", "--from-seq", "7"),
    "state": ("state", "counter"),
    "state --at 3": ("state", "counter", "--at", "3"),
    "state --at 5": ("state", "counter", "--at", "5"),
    "state of none": ("state", "probe", "--at", "0"),
    "empty state": ("state", "probe"),
}


@dataclass(frozen=True, slots=True)
class Commanded:
    """What every command came to, live and stopped, and where the journals are."""

    var: Path
    done: Mapping[str, Mapping[str, Done]]
    replies: list[str]
    journal_before: bytes
    journal_after: bytes


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> Commanded:
    """Two actors with some history, across a killed worker; every command was run on both."""
    directory = tmp_path_factory.mktemp("chain")
    write_manifest(directory, "counter", "counter")
    write_manifest(directory, "probe", "probe")
    write_manifest(directory, "limited", "probe", "[limits]\nmax_state_bytes = 1000")
    var = directory / "var"
    replies: list[str] = []

    def run_all() -> dict[str, Done]:
        with ThreadPoolExecutor(max_workers=2) as pool:
            done = pool.map(lambda arguments: theaterctl(var, "chain", *arguments), COMMANDS.values())
            return dict(zip(COMMANDS, done, strict=True))

    async def main() -> dict[str, Done]:
        async with supervisor(directory) as running:
            async with client(running.urls["counter"]) as one, client(running.urls["probe"]) as two:
                replies.extend([str(await ask(one, f"m{number}\x1b[2J")) for number in range(3)])
                await running.kill_worker("counter")
                replies.append(str(await ask(one, "last")))
                await two.send_message("state 0")
                assert await ask(two, "done") == "done"
                async with client(running.urls["limited"]) as three:
                    await three.send_message("state 2000")
                    assert await close_code(three) == 1011
                live = await trio.to_thread.run_sync(run_all)
                assert await ask(two, "still there") == "still there"
                assert running.process.returncode is None
            assert await running.stop() == 0
        return live

    live = trio.run(main)
    journal = var / "data" / "counter" / "journal.db"
    before = journal.read_bytes()
    stopped = run_all()
    return Commanded(var, {"live": live, "stopped": stopped}, replies, before, journal.read_bytes())


@pytest.fixture(params=WHEN)
def done(request: pytest.FixtureRequest, commanded: Commanded) -> Mapping[str, Done]:
    """What every command came to."""
    return commanded.done[request.param]


# Counter's history: 0 genesis, 1 instance, 2 connect, 3 to 5 texts, 6 instance, 7 text; stopped: 8 close.


def exported(done: Done) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in done.lines]


def test_verify_says_how_many_and_the_head(done: Mapping[str, Done]) -> None:
    """In words, and as JSON for scripts."""
    said = json.loads(done["verify --json"].text)
    seq = exported(done["export"])[-1]["seq"]
    assert done["verify"].status == done["verify --json"].status == 0
    assert done["verify"].lines == [
        f"counter: {seq + 1} transitions verified, seq 0 to {seq}",
        f"head {said['head']['hash']}",
    ]
    assert said == {
        "actor": "counter",
        "verified": seq + 1,
        "first_seq": 0,
        "head": {"seq": seq, "hash": done["head"].text.split()[-1]},
        "fault": None,
    }


def test_head_is_one_line(done: Mapping[str, Done]) -> None:
    """Seq and hash."""
    seq, hash_ = done["head"].text.split()
    assert json.loads(done["head --json"].text) == {"seq": int(seq), "hash": hash_}
    assert exported(done["export"])[-1]["hash"] == hash_


def test_export_has_every_transition_with_the_agreed_keys(
    commanded: Commanded, done: Mapping[str, Done]
) -> None:
    """In order, each naming the one before."""
    lines = exported(done["export"])
    keys = ["seq", "hash", "prev", "at", "kind", "connection", "input", "outcome", "replies", "state_hash"]
    assert all(list(line) == keys for line in lines)
    assert [line["seq"] for line in lines] == list(range(len(lines)))
    assert [line["prev"] for line in lines[1:]] == [line["hash"] for line in lines[:-1]]
    kinds = ["genesis", "instance", "connect", "text", "text", "text", "instance", "text", "close"]
    assert [line["kind"] for line in lines] == kinds[: len(lines)]
    texts = [line for line in lines if line["kind"] == "text"]
    assert [line["replies"] for line in texts] == [[["text", reply]] for reply in commanded.replies]


def test_show_has_a_line_for_each(done: Mapping[str, Done]) -> None:
    """Without anything that a terminal would act on."""
    heading, *lines = done["show"].lines
    assert heading.split()[:2] == ["SEQ", "TIME"]
    assert len(lines) == len(exported(done["export"]))
    assert r"'m0\x1b[2J' → text '1 m0\x1b[2J'" in lines[3]
    assert "\x1b" not in done["show"].text
    assert exported(done["show --since-seq"]) == exported(done["export"])[4:]


def test_replay_says_how_many_were_identical(done: Mapping[str, Done]) -> None:
    """All of them; or from the nearest instance on."""
    seq = exported(done["export"])[-1]["seq"]
    assert done["replay"].status == 0
    assert done["replay"].lines == [
        f"counter: {seq - 2} events replayed bit-identically, seq 1 to {seq}, in 2 instances"
    ]
    assert json.loads(done["replay --json"].text) == {
        "actor": "counter",
        "identical": seq - 6,
        "first_seq": 6,
        "last_seq": seq,
        "instances": 1,
        "quarantined": 0,
        "unreachable": 0,
        "divergence": None,
    }


def test_state_is_what_the_client_saw(commanded: Commanded, done: Mapping[str, Done]) -> None:
    """Counter answers with the number that is its state; nothing else is on stdout."""
    seen = [reply.split()[0].encode() for reply in commanded.replies]
    assert [done[name].stdout for name in ("state --at 3", "state --at 5", "state")] == [
        seen[0],
        seen[2],
        seen[3],
    ]


def test_no_state_is_told_from_an_empty_one(done: Mapping[str, Done]) -> None:
    """By a note on stderr."""
    assert done["state of none"] == Done(0, b"", "probe: the state is none after seq 0\n")
    assert done["empty state"] == Done(0, b"", "")


def test_a_noted_head_is_found_again_later(commanded: Commanded) -> None:
    """One from before the last events is still in the chain; another never was."""
    noted = commanded.done["live"]["head"].text.split()[-1]
    check = partial(theaterctl, commanded.var, "chain", "verify", "counter", "--head")
    assert check(noted).status == 0
    foreign = check("ab" * 32)
    assert foreign.status == 65
    assert "without the noted head" in foreign.text


# What goes wrong.


@pytest.fixture
def copy(commanded: Commanded, tmp_path: Path) -> Path:
    """A var directory of one's own, without a lock or a cache."""
    shutil.copytree(commanded.var / "data", tmp_path / "var" / "data")
    (tmp_path / "var" / "cache").symlink_to(commanded.var / "cache")
    return tmp_path / "var"


def change(var: Path, *statements: str) -> None:
    """Change counter's journal behind everybody's back."""
    with sqlite3.connect(var / "data" / "counter" / "journal.db") as journal:
        for statement in statements:
            journal.execute(statement)
    journal.close()


def test_a_changed_history_is_named_by_its_seq(copy: Path) -> None:
    """By verify, and by replay, which does not run it."""
    change(copy, "UPDATE chain SET body = zeroblob(length(body)) WHERE seq = 4")
    verified = theaterctl(copy, "chain", "verify", "counter")
    assert verified.status == 65
    assert verified.lines[0] == "counter: seq 4: its body does not have its hash: changed"
    said = theaterctl(copy, "chain", "verify", "counter", "--json")
    assert (said.status, json.loads(said.text)["fault"]["seq"]) == (65, 4)
    replayed = theaterctl(copy, "chain", "replay", "counter")
    assert replayed.status == 65
    assert replayed.stderr.startswith("not replayed: counter: seq 4: ")
    shown = theaterctl(copy, "chain", "export", "counter")
    assert shown.status == 65
    assert [line["seq"] for line in exported(shown)] == [0, 1, 2, 3]
    assert "seq 4" in shown.stderr


def test_another_component_is_caught_with_both_sides(commanded: Commanded) -> None:
    """At the first event that it handles in another way."""
    probe = next((commanded.var / "data" / "probe" / "components").iterdir())
    done = theaterctl(commanded.var, "chain", "replay", "counter", "--component", str(probe))
    assert done.status == 65
    assert done.lines[0] == (
        "counter: seq 3, text of connection 1: the replay came to other replies and another state"
    )
    assert done.lines[1] == r"  input     'm0\x1b[2J'"
    assert r"replies: number 1: text '1 m0\x1b[2J'" in done.lines[2]
    assert r"ok, state none, replies: number 1: text 'm0\x1b[2J'" in done.lines[3]


def test_a_limit_that_was_reached_is_that_of_the_manifest(commanded: Commanded) -> None:
    """With the manifest's limits the recorded error comes again, with the default ones it doesn't."""
    manifest = commanded.var.parent / "manifests" / "limited.toml"
    done = theaterctl(commanded.var, "chain", "replay", "limited")
    assert done.status == 65
    assert done.lines[0].startswith("limited: seq 3, text of connection 1: the replay came to another")
    done = theaterctl(commanded.var, "chain", "replay", "limited", "--manifest", str(manifest))
    assert (done.status, done.lines[-1].startswith("limited: ")) == (0, True), done


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ('name = "probe"', 2, "is the manifest of probe, not of limited"),
        ('name = "limited"\n[limits]\nmemory_mb = 3', 78, "limits.memory_mb: unknown key"),
        ("name =", 78, "is not TOML"),
    ],
    ids=["another's", "unknown key", "not TOML"],
)
def test_a_manifest_that_does_not_fit_is_refused(
    commanded: Commanded, tmp_path: Path, text: str, status: int, message: str
) -> None:
    """It is said what is wrong with it, and nothing is run."""
    (tmp_path / "limited.toml").write_text(text)
    manifest = str(tmp_path / "limited.toml")
    done = theaterctl(commanded.var, "chain", "replay", "limited", "--manifest", manifest)
    assert done.status == status
    assert message in done.stderr


def remove(name: str) -> Callable[[Path], None]:
    """Remove a file or directory of the actors' data."""

    def apply(var: Path) -> None:
        path = var / "data" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return apply


def overwrite(content: bytes) -> Callable[[Path], None]:
    """Put something else in counter's journal's place."""

    def apply(var: Path) -> None:
        (var / "data" / "counter" / "journal.db").write_bytes(content)

    return apply


def untouched(var: Path) -> None:
    """Change nothing."""


NO_COUNTER = "no actor named 'conter' in {var}/data: did you mean 'counter'?"
NO_X = "no actor named 'x' in {var}/data: there are counter, limited, probe"


@pytest.mark.parametrize(
    ("spoil", "arguments", "status", "said"),
    [
        pytest.param(untouched, "verify conter", 4, NO_COUNTER, id="typo"),
        pytest.param(untouched, "show x", 4, NO_X, id="unknown"),
        pytest.param(untouched, "show ../data/counter", 4, "no actor named '../data/counter'", id="path"),
        pytest.param(remove(""), "head counter", 4, "there is none in {var}/data", id="no data"),
        pytest.param(remove("counter/journal.db"), "verify counter", 65, "no such journal", id="no journal"),
        pytest.param(overwrite(b"nothing" * 100), "verify counter", 65, "damaged: ", id="no database"),
        pytest.param(overwrite(b""), "replay counter", 65, "never started", id="empty"),
        pytest.param(remove("counter/components"), "replay counter", 66, ".wasm: missing", id="no component"),
        pytest.param(untouched, "state counter --at 99", 66, "no seq 99: the newest is seq 8", id="beyond"),
        pytest.param(untouched, "verify counter --head 12", 2, "'12' is not 64 hex digits", id="no hash"),
        pytest.param(untouched, "show counter --since-seq -1", 2, "-1 is not in the range", id="negative"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    copy: Path, spoil: Callable[[Path], None], arguments: str, status: int, said: str
) -> None:
    """With an exit status of its own, nothing on stdout and no traceback."""
    spoil(copy)
    done = theaterctl(copy, "chain", *arguments.split())
    assert said.format(var=copy) in done.stderr
    assert (done.status, done.stdout) == (status, b"")
    assert "Traceback" not in done.stderr
    if status != 2:
        assert done.stderr.count("\n") == 1


def test_nothing_is_written_to_a_journal(commanded: Commanded) -> None:
    """Not by any command."""
    assert commanded.journal_after == commanded.journal_before


def test_a_reader_that_goes_away_ends_show_quietly(commanded: Commanded) -> None:
    """As in `theaterctl chain show counter | head`, with the status that shells report for SIGPIPE."""
    with subprocess.Popen(
        [THEATERCTL, "--var", commanded.var, "chain", "export", "counter"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
