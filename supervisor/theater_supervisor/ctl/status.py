"""The command `theaterctl status`: how the actors of a running supervisor are, once or again and again."""

import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from theater_supervisor.ctl.answers import take
from theater_supervisor.ctl.arguments import with_json, with_wide
from theater_supervisor.ctl.client import ask
from theater_supervisor.ctl.completion import complete_served
from theater_supervisor.ctl.tables import (
    Column,
    cut,
    duration,
    lines_of,
    print_json,
    size,
    terminal_columns,
)
from theater_supervisor.terminal import escape

_WATCH_S: Final = 1.0
_US_PER_S: Final = 1_000_000

_STATUS: Final = (
    Column("NAME"),
    Column("STATE"),
    Column("PID", number=True, goes=10),
    Column("UPTIME", number=True, goes=4),
    Column("RESTARTS", number=True, goes=5),
    Column("CONNS", number=True, goes=1),
    Column("IN/s", number=True, goes=3),
    Column("OUT/s", number=True, goes=8),
    Column("ERR/s", number=True, goes=2),
    Column("P99 ms", number=True, goes=7),
    Column("RSS", number=True, goes=9),
    Column("SANDBOX", number=True, goes=13),
    Column("QUEUE", number=True, goes=6),
    Column("SEQ", number=True, goes=11),
    Column("HEAD", goes=12),
    Column("NOTE", cut_to=24),
)
_PREPARING: Final = (
    Column("FOR"),
    Column("COMPONENT", cut_to=16),
    Column("IS"),
    Column("SINCE", number=True),
    Column("AT MOST", number=True, goes=1),
)


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_served)
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
@with_wide
@with_json
@click.pass_obj
def status(var: Path, names: tuple[str, ...], watch: bool, wide: bool, as_json: bool) -> None:
    """Show how the actors are, all or those named.

    RESTARTS are those that count against the restart intensity now / all of this supervisor's life. IN/s,
    OUT/s, ERR/s (events that failed) and P99 are of the last ten seconds; P99 is from an event's arrival to
    its committed replies. SANDBOX is how far its worker is locked in: 2 by seccomp and Landlock, 1 by
    seccomp, 0 not at all. SEQ and HEAD are the newest transition of the actor's chain. A terminal that is too
    narrow for all columns has the most important ones.

    Before anything is served, and during a reload, it says what is being done for each component: building,
    compiling, waiting for its turn.

    \b
    Exit status: 0 everything that should be ready is, 3 something is not, 4 unknown name or no supervisor.
    """
    if watch:
        _watch(var, names, wide, as_json)
    reply = ask(var, "status", names=names)
    (seen,) = take(reply)
    _print(seen, wide, as_json)
    sys.exit(reply.status)


def status_lines(seen: dict[str, Any], room: int | None) -> list[str]:
    """Show a supervisor's status, in lines no longer than `room` where there is one."""
    headline = _headline(seen)
    lines = [headline if room is None else cut(headline, room)]
    if seen["preparing"]:
        lines += lines_of(_PREPARING, _preparing_rows(seen["preparing"]), room)
    if seen["actors"]:
        lines += lines_of(_STATUS, [_status_row(actor) for actor in seen["actors"]], room)
    return lines


def _print(seen: dict[str, Any], wide: bool, as_json: bool) -> None:
    if as_json:
        print_json(seen)
        return
    for line in status_lines(seen, None if wide else terminal_columns()):
        click.echo(line)


def _watch(var: Path, names: tuple[str, ...], wide: bool, as_json: bool) -> None:
    try:
        if as_json or not sys.stdout.isatty():
            while True:
                (seen,) = take(ask(var, "status", names=names))
                _print(seen, wide, as_json)
                sys.stdout.flush()
                time.sleep(_WATCH_S)
        _watch_screen(var, names, wide)
    except KeyboardInterrupt:
        sys.exit(0)


def _watch_screen(var: Path, names: tuple[str, ...], wide: bool) -> None:
    from rich.console import Console  # a tenth of a second, for this alone
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), screen=True, auto_refresh=False) as live:
        while True:
            (seen,) = take(ask(var, "status", names=names))
            lines = status_lines(seen, None if wide else terminal_columns())
            shown = Text.from_ansi("\n".join(lines), no_wrap=True, overflow="crop")
            live.update(shown, refresh=True)
            time.sleep(_WATCH_S)


def _headline(seen: dict[str, Any]) -> str:
    up_s = (seen["at_us"] - seen["started_at_us"]) / _US_PER_S
    steps = seen["preparing"]
    done = sum(step["stage"] == "done" for step in steps)
    far = f" ({done} of {len(steps)} components are done)" if steps else ""
    return escape(
        f"theater-supervise {seen['version']} is {seen['phase']}{far}, pid {seen['pid']}, "
        f"up {duration(up_s)}, RSS {size(seen['rss_bytes'])}, loop lag {seen['loop_lag_ms']:.1f} ms"
    )


def _preparing_rows(steps: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            ", ".join(step["actors"]),
            Path(step["component"]).name,
            step["stage"],
            duration(step["elapsed_s"]),
            duration(step["at_most_s"]),
        ]
        for step in steps
    ]


def _status_row(actor: dict[str, Any]) -> list[str]:
    return [
        actor["name"],
        actor["state"],
        _or_dash(actor["pid"]),
        duration(actor["uptime_s"]),
        f"{actor['restarts_in_period']}/{actor['restarts']}",
        f"{actor['connections']}/{actor['max_connections']}",
        f"{actor['received_per_s']:.0f}",
        f"{actor['sent_per_s']:.0f}",
        f"{actor['errors_per_s']:.3g}",
        _or_dash(actor["p99_ms"]),
        size(actor["rss_bytes"]),
        _or_dash(actor["sandbox_level"]),
        str(actor["queue"]),
        str(actor["seq"]),
        actor["head"][:8],
        actor["note"],
    ]


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
