"""What is made of measured values: medians, ratios, verdicts, and how they are written."""

from pathlib import Path

import pytest
from benchmarks.figures import Sample, Section, Target, collect, percentile, ratio, shown, verdicts
from benchmarks.neighbours import CONDITIONS
from benchmarks.report import Measured, between_marks, key, lines, markdown, read, write

ROWS = collect(
    [
        Sample("ours", 30, "messages/s"),
        Sample("bare", 10, "messages/s"),
        Sample("ours", 10, "messages/s"),
        Sample("bare", 8, "messages/s"),
        Sample("ours", 20, "messages/s"),
        Sample("ours p99", 7, "µs"),
    ]
)


def test_a_ratio_is_that_of_medians() -> None:
    """One odd round does not move it."""
    assert ratio(ROWS, "ours", "bare") == 20 / 9


@pytest.mark.parametrize(("row", "over"), [("ours", "workerd"), ("workerd", "ours")])
def test_a_ratio_to_what_was_skipped_is_unknown(row: str, over: str) -> None:
    """A peer that isn't installed leaves a gap, not an error."""
    assert ratio(ROWS, row, over) is None


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("ours", 20, at_least=True), True),
        (Target("ours", 20.1, at_least=True), False),
        (Target("ours", 20), True),
        (Target("ours", 19.9), False),
        (Target("ours", 2.3, over="bare"), True),
        (Target("ours", 2.3, at_least=True, over="bare"), False),
        (Target("ours", 4, at_least=True, over="workerd"), None),
        (Target("theirs", 4), None),
    ],
    ids=str,
)
def test_a_target_is_met_missed_or_unknown(target: Target, met: bool | None) -> None:
    """The bound itself is met; what wasn't measured is neither met nor missed."""
    (verdict,) = verdicts([target], ROWS)
    assert verdict.met is met


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1), (50, 2), (51, 3), (95, 4), (100, 4)], ids=lambda value: f"{value}"
)
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    """By nearest rank, so with few values the 95th is the greatest."""
    assert percentile([3, 1, 4, 2], percent) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567.8, "1,234,568"), (99.96, "100"), (1.5, "1.50"), (0.0449, "0.0449"), (-2, "-2.00")],
    ids=str,
)
def test_three_digits_are_shown(value: float, text: str) -> None:
    """Large figures are whole, with separators."""
    assert shown(value) == text


def test_only_rows_of_the_baseline_s_unit_are_compared_with_it() -> None:
    """A p99 in µs is no ratio of messages a second."""
    section = Section("echo", "Echoes.", lambda _: (), baseline="bare")
    assert [line[-1] for line in lines(section, ROWS)] == ["2.22 x", "1.00 x", ""]


def test_a_target_that_was_not_measured_is_listed() -> None:
    """The page says what it does not know."""
    section = Section("start", "Starting.", lambda _: (), (Target("ready", 40),))
    assert "| start | quiet | ready | ≤ 40.0 |  | not measured |" in markdown((section,), {})


def test_figures_of_a_quiet_and_a_busy_machine_stand_beside_each_other(tmp_path: Path) -> None:
    """Each has its targets and its table, and what is kept in the file is both."""
    bare = {"quiet": 10, "busy": 8}
    target, busy_target = Target("ours", 2, at_least=True, over="bare"), Target("ours", 3, over="bare")
    section = Section("echo", "Echoes.", lambda _: (), (target,), "bare", (busy_target,))
    for condition in CONDITIONS:
        rows = collect([Sample("ours", 20, "messages/s"), Sample("bare", bare[condition], "messages/s")])
        measured = Measured(rows, "2026-01-01", "a machine")
        write(
            tmp_path / "figures.json", read(tmp_path / "figures.json") | {key(section, condition): measured}
        )
    page = markdown((section,), read(tmp_path / "figures.json"))
    assert "| echo | quiet | ours | ≥ 2.00 x bare | 2.00 | met |" in page
    assert "| echo | busy | ours | ≤ 3.00 x bare | 2.50 | met |" in page
    assert "### echo\n\nEchoes. Measured on a quiet machine on 2026-01-01" in page
    assert "### echo, busy\n\nEchoes. Measured beside one spinning process for each core on" in page


def test_only_what_is_between_the_marks_is_replaced() -> None:
    """What people wrote around the figures stays."""
    begin, end = "<!-- figures: python -m benchmarks --markdown -->", "<!-- end of figures -->"
    page = between_marks(f"before\n{begin}\nold\n{end}\nafter\n", "new")
    assert page == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert between_marks(page, "new") == page


def test_a_page_without_marks_is_refused() -> None:
    """Nothing is written where nobody would find it."""
    with pytest.raises(ValueError, match="has no <!-- figures"):
        between_marks("a page", "new")
