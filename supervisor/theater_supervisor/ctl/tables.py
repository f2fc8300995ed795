"""Tables, lengths of time and sizes for people: coloured on a terminal, plain columns anywhere else.

Everything shown is text that was escaped or made here; nothing is asked of the supervisor.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400
_STYLES: Final = {
    "ready": "green",
    "starting": "yellow",
    "waiting": "yellow",
    "recovering": "red",
    "held": "bold red",
    "ended": "dim",
    "stopped": "dim",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title, and whether it holds numbers."""

    title: str
    number: bool = False


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their titles; scripts should ask for JSON instead."""
    if sys.stdout.isatty():
        console().print(as_rich(columns, rows))
        return
    lines = [[column.title for column in columns], *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        click.echo("  ".join(_cells(columns, line, widths)).rstrip())


def as_rich(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Table:
    """Return the table as rich shows it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.title, justify="right" if column.number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return table


def grouped(*parts: RenderableType) -> Group:
    """Put what rich shows one below the other."""
    return Group(*parts)


def console() -> Console:
    """Return rich's console for stdout, without colours when $NO_COLOR says so."""
    return Console(no_color="NO_COLOR" in os.environ, highlight=False)


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print one JSON value as one line."""
    click.echo(json.dumps(value, ensure_ascii=False))


def duration(seconds: float | None) -> str:
    """Say how long something took, in the two largest units that matter."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    whole = int(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}m{whole % _MINUTE_S:02}s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}h{whole % _HOUR_S // _MINUTE_S:02}m"
    return f"{whole // _DAY_S}d{whole % _DAY_S // _HOUR_S:02}h"


def size(octets: int | None) -> str:
    """Say how many bytes, in the largest unit that has a whole one."""
    if octets is None:
        return "-"
    value = float(octets)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _cells(columns: Sequence[Column], line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if column.number else cell.ljust(width)
        for column, cell, width in zip(columns, line, widths, strict=True)
    ]
