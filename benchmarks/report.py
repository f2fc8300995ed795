"""The figures as people see them: tables on the terminal, and the part of README.md that is generated.

Figures are kept in one JSON file, section by section with the date of each, so that sections can be measured
at different times.
"""

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Row, Rows, Section, Verdict, shown, target_text, verdicts

README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- figures: python -m benchmarks --markdown -->", "<!-- end of figures -->"
_MET = {True: "met", False: "missed", None: "not measured"}


@dataclass(frozen=True, slots=True)
class Measured:
    """A section's rows, when and on what they were measured, and what was left out."""

    rows: Rows
    date: str
    machine: str
    skipped: tuple[str, ...] = ()


def machine() -> str:
    """Say what this machine is, in general terms."""
    cores = os.cpu_count() or 0
    version = platform.release().split("-")[0]
    return f"{cores} cores, Python {platform.python_version()}, {platform.system()} {version}"


def read(file: Path) -> dict[str, Measured]:
    """Read the figures that are kept, by section; none where there is no file."""
    if not file.exists():
        return {}
    kept: Mapping[str, Any] = json.loads(file.read_text())
    return {
        name: Measured(
            {row: Row(one["unit"], one["values"]) for row, one in section["rows"].items()},
            section["date"],
            section["machine"],
            tuple(section["skipped"]),
        )
        for name, section in kept.items()
    }


def write(file: Path, kept: Mapping[str, Measured]) -> None:
    """Keep figures. Medians are written too, for readers of the file."""
    sections = {
        name: {
            "date": section.date,
            "machine": section.machine,
            "skipped": section.skipped,
            "rows": {
                row: {"unit": one.unit, "median": one.median, "values": one.values}
                for row, one in section.rows.items()
            },
        }
        for name, section in kept.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(sections, indent=2, ensure_ascii=False) + "\n")


def lines(section: Section, rows: Rows) -> Iterator[tuple[str, str, str, str, str]]:
    """Give a section's rows as texts: row, median, unit, lowest to highest, ratio to the baseline."""
    baseline = rows.get(section.baseline or "")
    for name, row in rows.items():
        comparable = baseline is not None and baseline.unit == row.unit
        ratio = f"{shown(row.median / baseline.median)} x" if baseline and comparable else ""
        spread = f"{shown(min(row.values))} to {shown(max(row.values))}" if len(row.values) > 1 else ""
        yield name, shown(row.median), row.unit, spread, ratio


def verdict_text(verdict: Verdict) -> str:
    """Say a target, its figure, and whether it is met."""
    figure = "" if verdict.figure is None else f" ({shown(verdict.figure)})"
    return f"{verdict.target.row}: {target_text(verdict.target)}: {_MET[verdict.met]}{figure}"


def show(console: Console, section: Section, measured: Measured) -> None:
    """Print a section's table and its targets."""
    table = Table(title=f"{section.name}: {section.about}", title_justify="left")
    table.add_column("")
    for heading in ("median", "unit", "spread", f"to {section.baseline}" if section.baseline else ""):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    for line in lines(section, measured.rows):
        table.add_row(*line)
    console.print(table)
    for verdict in verdicts(section.targets, measured.rows):
        colour = {True: "green", False: "red", None: "dim"}[verdict.met]
        console.print(f"  {verdict_text(verdict)}", style=colour, highlight=False)
    for what in measured.skipped:
        console.print(f"  skipped: {what}", style="yellow", highlight=False)
    console.print()


def markdown(sections: tuple[Section, ...], kept: Mapping[str, Measured]) -> str:
    """Write all figures that are kept as Markdown: first the targets, then every section's rows."""
    parts = ["| Section | | Target | Figure | |", "| --- | --- | --- | ---: | --- |"]
    for section in sections:
        rows = kept[section.name].rows if section.name in kept else {}
        for verdict in verdicts(section.targets, rows):
            figure = "" if verdict.figure is None else shown(verdict.figure)
            target = verdict.target
            parts.append(
                f"| {section.name} | {target.row} | {target_text(target)} | {figure} | {_MET[verdict.met]} |"
            )
    for section in sections:
        if section.name in kept:
            parts += ["", *_section_markdown(section, kept[section.name])]
    return "\n".join(parts)


def _section_markdown(section: Section, measured: Measured) -> Iterator[str]:
    yield f"### {section.name}"
    yield ""
    yield f"{section.about} Measured on {measured.date}: {measured.machine}."
    if measured.skipped:
        yield f"Left out: {'; '.join(measured.skipped)}."
    yield ""
    yield f"| | Median | | Lowest to highest | {f'To {section.baseline}' if section.baseline else ''} |"
    yield "| --- | ---: | --- | ---: | ---: |"
    for line in lines(section, measured.rows):
        yield f"| {' | '.join(line)} |"


def between_marks(page: str, text: str) -> str:
    """Return the page with `text` in place of what is between its marks."""
    head, _, rest = page.partition(_BEGIN)
    _, mark, tail = rest.partition(_END)
    if not mark:
        raise ValueError(f"{README} has no {_BEGIN} … {_END}")
    return f"{head}{_BEGIN}\n\n{text}\n\n{_END}{tail}"
