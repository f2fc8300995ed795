"""`python -m benchmarks [SECTION…]`: measure, show tables, and keep the figures and a plot of them.

Each section is measured twice: on the machine as it is, and beside one spinning process for each core.
Figures of sections that are not measured stay as they were, so that a run can be made in parts.
"""

import argparse
import datetime
import signal
import sys
import time
from pathlib import Path

from rich.console import Console

from benchmarks.figures import Plan, Section, collect
from benchmarks.neighbours import CONDITIONS, TITLES, Condition, neighbours
from benchmarks.plot import plot
from benchmarks.report import README, Measured, between_marks, key, machine, markdown, read, show, write
from benchmarks.sections import SECTIONS
from benchmarks.servers import BUILD, PEERS, ROOT, missing

_ELSEWHERE = "Beside these: python -m benchmarks.gateway_abuse, python -m benchmarks.sandbox"


def _options() -> argparse.Namespace:
    width = max(len(section.name) for section in SECTIONS)
    listed = "\n".join(f"  {section.name:{width}}  {section.about}" for section in SECTIONS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"sections:\n{listed}\n\n{_ELSEWHERE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [section.name for section in SECTIONS]
    parser.add_argument("sections", nargs="*", metavar="SECTION", help="all of them by default")
    parser.add_argument("--rounds", type=int, default=Plan().rounds)
    parser.add_argument("--seconds", type=float, default=Plan().seconds, help="of each load in a round")
    parser.add_argument("--only", choices=CONDITIONS, help="measure in one of the two conditions")
    parser.add_argument("--full", action="store_true", help="200 actors and 10^6 events, not fewer")
    parser.add_argument("--output", type=Path, default=BUILD / "figures.json", help="the plot goes beside it")
    parser.add_argument("--markdown", action="store_true", help="only write kept figures into README.md")
    options = parser.parse_args()
    for name in options.sections:
        if name not in names:
            parser.error(f"no section {name!r}; there are {', '.join(names)}")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds must be at least 1 and --seconds more than 0")
    return options


def _measure(section: Section, condition: Condition, plan: Plan, skipped: tuple[str, ...]) -> Measured:
    with neighbours(condition):
        rows = collect(section.measure(plan))
    return Measured(rows, datetime.datetime.now(datetime.UTC).date().isoformat(), machine(), skipped)


def _plot(console: Console, output: Path) -> None:
    kept = read(output)
    try:
        for suffix in (".svg", ".png"):
            plot(output.with_suffix(suffix), SECTIONS, kept)
    except ImportError as missed:
        console.print(f"skipped: the plot, which needs {missed.name}", style="yellow")
        return
    console.print(f"figures in {output}, plot in {output.with_suffix('.svg')}", highlight=False)


def main() -> None:
    """Measure what is asked for, or write the page."""
    # The servers are ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options, console = _options(), Console()
    if options.markdown:
        README.write_text(between_marks(README.read_text(), markdown(SECTIONS, read(options.output))))
        plot(README.with_name("figures.svg"), SECTIONS, read(options.output))
        return
    skipped = tuple(f"{peer}: needs {what}" for peer in PEERS if (what := missing(peer)))
    plan = Plan(options.rounds, options.seconds, options.full)
    for section in SECTIONS:
        if options.sections and section.name not in options.sections:
            continue
        for condition in (options.only,) if options.only else CONDITIONS:
            begun_s = time.monotonic()
            with console.status(f"measuring {section.name} {TITLES[condition]} …"):
                measured = _measure(section, condition, plan, skipped)
            show(console, section, condition, measured)
            console.print(f"  took {time.monotonic() - begun_s:.0f} s\n", style="dim", highlight=False)
            write(options.output, read(options.output) | {key(section, condition): measured})
    output = options.output
    _plot(console, output.relative_to(ROOT) if output.is_relative_to(ROOT) else output)
    console.print(_ELSEWHERE, highlight=False)


if __name__ == "__main__":
    main()
