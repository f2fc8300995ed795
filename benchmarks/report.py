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

from benchmarks.figures import Row, Rows, Section, Target, Verdict, shown, target_text, verdicts
from benchmarks.neighbours import CONDITIONS, TITLES, Condition

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


def key(section: Section, condition: Condition) -> str:
    """Name a section's figures in one condition; those of a quiet machine have the section's own name."""
    return section.name if condition == "quiet" else f"{section.name}, {condition}"


def targets(section: Section, condition: Condition) -> tuple[Target, ...]:
    """Return what a section is held against in one condition."""
    return section.targets if condition == "quiet" else section.busy_targets


def read(file: Path) -> dict[str, Measured]:
    """Read the figures that are kept, by section and condition; none where there is no file."""
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


def show(console: Console, section: Section, condition: Condition, measured: Measured) -> None:
    """Print a section's table and its targets."""
    title = f"{section.name}, {TITLES[condition]}: {section.about}"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for heading in ("median", "unit", "spread", f"to {section.baseline}" if section.baseline else ""):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    for line in lines(section, measured.rows):
        table.add_row(*line)
    console.print(table)
    for verdict in verdicts(targets(section, condition), measured.rows):
        colour = {True: "green", False: "red", None: "dim"}[verdict.met]
        console.print(f"  {verdict_text(verdict)}", style=colour, highlight=False)
    for what in measured.skipped:
        console.print(f"  skipped: {what}", style="yellow", highlight=False)
    console.print()


def markdown(sections: tuple[Section, ...], kept: Mapping[str, Measured]) -> str:
    """Write all figures that are kept as Markdown: first the targets, then every section's rows."""
    measured = [
        (section, condition, kept.get(key(section, condition)))
        for section in sections
        for condition in CONDITIONS
    ]
    parts = ["| Section | | | Target | Figure | |", "| --- | --- | --- | --- | ---: | --- |"]
    for section, condition, figures in measured:
        for verdict in verdicts(targets(section, condition), figures.rows if figures else {}):
            figure = "" if verdict.figure is None else shown(verdict.figure)
            what = f"{section.name} | {condition} | {verdict.target.row} | {target_text(verdict.target)}"
            parts.append(f"| {what} | {figure} | {_MET[verdict.met]} |")
    for section, condition, figures in measured:
        if figures:
            parts += ["", *_section_markdown(section, condition, figures)]
    return "\n".join(parts)


def _section_markdown(section: Section, condition: Condition, measured: Measured) -> Iterator[str]:
    yield f"### {key(section, condition)}"
    yield ""
    yield f"{section.about} Measured {TITLES[condition]} on {measured.date}: {measured.machine}."
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
