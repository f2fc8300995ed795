"""The plot: a panel for what can be compared, a bar for each row's median, a line from lowest to highest."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.figures import Rows, Section
from benchmarks.neighbours import CONDITIONS
from benchmarks.report import Measured, key

_WIDTH_INCHES, _BAR_INCHES, _HEAD_INCHES = 8.0, 0.22, 0.7
_LOG_FROM = 100.0  # bars that differ by more would not be seen beside each other


def plot(file: Path, sections: tuple[Section, ...], kept: Mapping[str, Measured]) -> None:
    """Draw the figures that are kept. Raises ImportError where matplotlib is not installed."""
    import matplotlib
    import matplotlib.figure

    matplotlib.rcParams["svg.fonttype"] = "none"  # text as text: a tenth of the size
    panels = [
        (f"{name} ({unit})", rows)
        for section in sections
        for condition in CONDITIONS
        if (name := key(section, condition)) in kept
        for unit, rows in _by_unit(kept[name].rows).items()
        if len(rows) > 1
    ]
    heights = [len(rows) * _BAR_INCHES + _HEAD_INCHES for _, rows in panels]
    size = (_WIDTH_INCHES, sum(heights))
    figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for (title, rows), axis in zip(panels, axes[:, 0], strict=True):
        medians = [row.median for row in rows.values()]
        spread = [
            [row.median - min(row.values) for row in rows.values()],
            [max(row.values) - row.median for row in rows.values()],
        ]
        is_log = max(medians) > _LOG_FROM * min(medians)
        axis.barh(list(rows), medians, xerr=spread, log=is_log, color="#4c78a8", ecolor="#333333", capsize=2)
        axis.invert_yaxis()
        axis.set_title(title + (", logarithmic" if is_log else ""), loc="left", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _by_unit(rows: Rows) -> dict[str, Rows]:
    units: dict[str, Rows] = {}
    for name, row in rows.items():
        units.setdefault(row.unit, {})[name] = row
    return units
