"""Tables, lengths of time and sizes for people: coloured on a terminal, plain columns anywhere else.

A table on a terminal is never wider than it: columns go, the least important first. Cells are escaped here;
nothing is asked of the supervisor.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from theater_supervisor.terminal import escape

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400
_GAP: Final = "  "
_SHORTEST: Final = 1
_USUAL_COLUMNS: Final = 80
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "ready": {"fg": "green"},
    "starting": {"fg": "yellow"},
    "waiting": {"fg": "yellow"},
    "recovering": {"fg": "red"},
    "held": {"fg": "red", "bold": True},
    "ended": {"dim": True},
    "stopped": {"dim": True},
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title, and whether it holds numbers.

    `goes` says when it is dropped for lack of room: the highest first, 0 never. One with `cut_to` is cut down
    to that many characters before any is dropped.
    """

    title: str
    number: bool = False
    goes: int = 0
    cut_to: int | None = None


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, wide: bool = False) -> None:
    """Print rows under their titles; scripts should ask for JSON instead."""
    for line in lines_of(columns, rows, room=None if wide else terminal_columns()):
        click.echo(line)


def lines_of(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int | None) -> list[str]:
    """Return a table's lines, none longer than `room`; with all there is and no colours where it is None."""
    table = [[column.title for column in columns], *([_clean(cell) for cell in row] for row in rows)]
    widths = [max(map(text_width, cells)) for cells in zip(*table, strict=True)]
    kept, widths = _fitting(columns, widths, room)
    lines = [
        _GAP.join(
            _styled(_cell(columns[index], line[index], widths[index]), line[index], is_head=at == 0)
            for index in kept
        ).rstrip()
        for at, line in enumerate(table)
    ]
    dropped = [column.title for index, column in enumerate(columns) if index not in kept]
    if dropped and room is not None:
        lines.append(painted(cut(f"--wide shows also {', '.join(dropped)}", room), dim=True))
    return lines


def terminal_columns() -> int | None:
    """Return how many columns the terminal has that is written to, None when it is none."""
    if not sys.stdout.isatty():
        return None
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    # Not shutil's: that asks the stream which the interpreter began with, and this may be another.
    return os.get_terminal_size(sys.stdout.fileno()).columns or _USUAL_COLUMNS


def is_coloured() -> bool:
    """Say whether colours are wanted on stdout."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def painted(text: str, **style: Any) -> str:  # noqa: ANN401 - what click.style takes
    """Give a text a style, where colours are wanted."""
    return click.style(text, **style) if any(style.values()) and is_coloured() else text


def text_width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # the widths of all scripts; most texts need none of it

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """Cut a text to a width, visibly."""
    if text_width(text) <= width:
        return text
    while text_width(text) > width - 1:
        text = text[: -max(1, (text_width(text) - width) // 2)]
    return f"{text}…"


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """Print one JSON value as one line, in ASCII: every terminal and every encoding takes it as it is."""
    click.echo(json.dumps(value))


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


def _fitting(
    columns: Sequence[Column], widths: Sequence[int], room: int | None
) -> tuple[list[int], list[int]]:
    """Return which columns have room, and the widths that all of them may have."""
    kept, given = list(range(len(columns))), list(widths)
    if room is None:
        return kept, given
    least = [min(width, column.cut_to or width) for column, width in zip(columns, widths, strict=True)]
    while _total(least, kept) > room and (droppable := [index for index in kept if columns[index].goes]):
        kept.remove(max(droppable, key=lambda index: columns[index].goes))
    # What is cut may have what is left over; where even the least is too much, the widest gives way.
    spare = room - _total(least, kept)
    for index in sorted(kept, key=lambda index: least[index], reverse=True):
        given[index] = max(min(_SHORTEST, least[index]), min(widths[index], least[index] + spare))
        spare -= given[index] - least[index]
    return kept, given


def _total(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[index] for index in kept) + len(_GAP) * (len(kept) - 1)


def _clean(cell: str) -> str:
    return escape(cell).replace("\t", " ")


def _cell(column: Column, text: str, width: int) -> str:
    shown = cut(text, width)
    padding = " " * (width - text_width(shown))
    return padding + shown if column.number else shown + padding


def _styled(shown: str, cell: str, *, is_head: bool) -> str:
    return painted(shown, **({"bold": True} if is_head else _STYLES.get(cell, {})))
