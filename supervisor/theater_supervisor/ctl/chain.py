"""The commands `theaterctl chain …`: an actor's history, verified, shown, exported and run again.

They read the journals under the var directory, whether the supervisor runs or not, and never write them.
What they print is made in chain_text.py and chain_json.py.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click
import trio

from theater_protocol.chain import Transition
from theater_supervisor.ctl import chain_json, chain_text
from theater_supervisor.ctl.arguments import read_hash, with_actor, with_json, with_wide
from theater_supervisor.ctl.limits import call_limits, with_limits
from theater_supervisor.ctl.tables import painted, print_json, terminal_columns
from theater_supervisor.journal.errors import JournalRefused
from theater_supervisor.journal.reader import read, rows
from theater_supervisor.journal.verify import verify
from theater_supervisor.replay.components import Components
from theater_supervisor.replay.history import open_history
from theater_supervisor.replay.replay import Replay, ReplayFailed, Verdict, state_at
from theater_supervisor.terminal import writing

_FOUND_WRONG: Final = 65  # EX_DATAERR
_NOT_KEPT: Final = 66  # EX_NOINPUT
_SEQ: Final = click.IntRange(min=0)


@click.group()
def chain() -> None:
    """Verify, show, export and replay an actor's history.

    Every event that an actor handled is a transition: its input, outcome, replies and the hash of the state
    after it, chained to the one before by its hash. These commands work on the journal of a running
    supervisor and on that of a stopped one, and never change it.
    """


@chain.command("verify", short_help="Check that nothing was changed, moved, added or taken away.")
@with_actor
@click.option(
    "--head", metavar="HASH", callback=read_hash, help="A head noted earlier; it must still be in the chain."
)
@with_json
def verify_(actor: Path, head: bytes | None, as_json: bool) -> None:
    """Check that nothing in NAME's history was changed, moved, added or taken away.

    Says how many transitions verified, from which one on, and the head; or names the first bad one and what
    is wrong with it, with exit status 65. Neither the component nor the supervisor is needed.

    A chain that was cut off, or rewritten from some point on, is sound in itself. Note its head from time to
    time (`theaterctl chain head`) where an intruder can't reach it, and give it here as --head.
    """
    verdict = verify(_journal(actor), head)
    if as_json:
        print_json(chain_json.verification_object(verdict))
    else:
        click.echo(chain_text.verification(verdict))
    if verdict.fault is not None:
        sys.exit(_FOUND_WRONG)


@chain.command(short_help="List the transitions.")
@with_actor
@click.option("--since-seq", type=_SEQ, default=0, metavar="N", help="Begin with seq N.")
@with_wide
@with_json
def show(actor: Path, since_seq: int, wide: bool, as_json: bool) -> None:
    """List NAME's transitions, one a line, long texts cut.

    CONN is the connection's number, HASH the beginning of the transition's hash; a narrow terminal has not
    all columns. An `instance` is a fresh start of the component; `poison` is an event that workers died on.
    --json prints whole transitions, as `export` does.
    """
    _note_dropped(actor, since_seq)
    transitions = rows(_journal(actor), since_seq)
    if as_json:
        _print_transitions(transitions)
        return
    layout = chain_text.Layout.within(None if wide else terminal_columns())
    click.echo(layout.heading)
    _print_lines(_colored(layout.line(*one), one[1].outcome) for one in transitions)


@chain.command(short_help="Write the transitions as JSON lines.")
@with_actor
def export(actor: Path) -> None:
    """Write NAME's transitions as JSON, one object a line.

    The keys are seq, hash, prev, at (µs since 1970, UTC), kind, connection, input, outcome, replies (pairs of
    kind and payload) and state_hash. Hashes are in hex, bytes are {"base64": "…"}.
    """
    _note_dropped(actor, 0)
    _print_transitions(rows(_journal(actor)))


@chain.command(short_help="Print the newest transition's seq and hash.")
@with_actor
@with_json
def head(actor: Path, as_json: bool) -> None:
    """Print the seq and the hash of NAME's newest transition.

    The hash stands for the whole history up to it. Note it somewhere else: `chain verify --head HASH` then
    shows whether that history is still there, unchanged.
    """
    path = _journal(actor)
    with read(path) as journal:
        recorded = journal.head()
    if recorded is None:
        raise JournalRefused(f"{path}: damaged: its head is missing: run `theaterctl chain verify`")
    seq, hash_, *_ = recorded
    if as_json:
        print_json({"seq": seq, "hash": hash_.hex()})
    else:
        click.echo(f"{seq} {hash_.hex()}")


@chain.command(short_help="Run the recorded events again and compare.")
@with_actor
@click.option(
    "--component",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    metavar="FILE",
    help="Run this component instead of the recorded ones.",
)
@click.option("--from-seq", type=_SEQ, default=0, metavar="N", help="Begin as near before seq N as possible.")
@with_limits
@with_json
def replay(
    actor: Path,
    component: Path | None,
    from_seq: int,
    manifest: Path | None,
    call_timeout_s: float | None,
    memory_mib: int | None,
    as_json: bool,
) -> None:
    """Run NAME's recorded events again, in scratch workers, and compare outcome, replies and state of each.

    Says how many came to the same, bit for bit; or shows the first that did not, with both sides and exit
    status 65. The chain is verified first.

    The component runs with the recorded times and random seeds. The supervisor keeps every component that
    it ran. A replay begins where an instance was started from a state that is still kept: at the beginning,
    or after retention at the first such place. Events that workers died on (poison) are not run.

    The limits of a call are not recorded. An event that hit one of them comes to the same only with the
    limits of that time: give the --manifest that has them. A recorded `timeout` takes that long again.
    """
    path = _journal(actor)
    verification = verify(path)
    if verification.fault is not None:
        click.echo(f"not replayed: {chain_text.verification(verification)}", err=True)
        sys.exit(_FOUND_WRONG)
    history = open_history(path)
    limits = call_limits(actor.name, manifest, call_timeout_s, memory_mib)
    with _components(actor, component) as components:
        run = Replay(actor.name, history, components, limits)
        since_seq = history.beginning(from_seq)
        verdict = trio.run(run.run, since_seq, verification.head.seq)
    _report(actor.name, verdict, as_json)


@chain.command(short_help="Write the state's bytes to stdout.")
@with_actor
@click.option("--at", "seq", type=_SEQ, metavar="SEQ", help="The state after this transition; by replay.")
@with_limits
def state(
    actor: Path,
    seq: int | None,
    manifest: Path | None,
    call_timeout_s: float | None,
    memory_mib: int | None,
) -> None:
    """Write the bytes of NAME's state to stdout: the current one, or with --at an earlier one.

    An earlier state is found by replay from the nearest kept one, and has the hash that was recorded for it.
    Where the actor has no state (`none`), nothing is written and stderr says so; an empty state is without
    that note.
    """
    history = open_history(_journal(actor))
    limits = call_limits(actor.name, manifest, call_timeout_s, memory_mib)
    wanted = history.head_seq if seq is None else seq
    with _components(actor, None) as components:
        try:
            found = trio.run(state_at, actor.name, history, wanted, components, limits)
        except ReplayFailed as exc:
            click.echo(chain_text.difference(actor.name, exc.divergence), err=True)
            raise
    if found is None:
        click.echo(f"{actor.name}: the state is none after seq {wanted}", err=True)
    else:
        with writing():
            sys.stdout.buffer.write(found)
            sys.stdout.flush()


def _journal(actor: Path) -> Path:
    return actor / "journal.db"


def _components(actor: Path, substitute: Path | None) -> Components:
    return Components(actor / "components", actor.parents[1] / "cache", substitute)


def _note_dropped(actor: Path, since_seq: int) -> None:
    """Say on stderr when retention has dropped some of what was asked for."""
    path = _journal(actor)
    with read(path) as journal:
        first = next(journal.rows(), None)
    if first is not None and since_seq < first[0]:
        click.echo(f"{actor.name}: seq {since_seq} to {first[0] - 1} were dropped by retention", err=True)


def _report(name: str, verdict: Verdict, as_json: bool) -> None:
    if as_json:
        print_json(chain_json.replay_object(name, verdict))
    else:
        click.echo(chain_text.replaying(name, verdict))
    if verdict.divergence is not None:
        sys.exit(_FOUND_WRONG)
    if verdict.first_seq is None and verdict.unreachable:
        sys.exit(_NOT_KEPT)


def _colored(line: str, outcome: str) -> str:
    return line if outcome == "ok" else painted(line, fg="red")


def _print_transitions(transitions: Iterable[tuple[bytes, Transition]]) -> None:
    _print_lines(json.dumps(chain_json.transition_object(*one)) for one in transitions)


def _print_lines(lines: Iterable[str]) -> None:
    """Write lines without a flush for each."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
