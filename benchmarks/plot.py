"""The plot: a panel for each section, a bar for each row's median, a line from lowest to highest."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.figures import Rows, Section
from benchmarks.report import Measured

_PANEL_INCHES = (7.5, 0.32)  # width; height of a bar


def plot(file: Path, sections: tuple[Section, ...], kept: Mapping[str, Measured]) -> None:
    """Draw the figures that are kept. Raises ImportError where matplotlib is not installed."""
    import matplotlib.figure

    panels = [
        (f"{section.name} ({unit})", rows)
        for section in sections
        if section.name in kept
        for unit, rows in _by_unit(kept[section.name].rows).items()
    ]
    heights = [max(3, len(rows)) * _PANEL_INCHES[1] + 0.8 for _, rows in panels]
    figure = matplotlib.figure.Figure(figsize=(_PANEL_INCHES[0], sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for (title, rows), axis in zip(panels, axes[:, 0], strict=True):
        names, medians = list(rows), [row.median for row in rows.values()]
        spread = [
            [row.median - min(row.values) for row in rows.values()],
            [max(row.values) - row.median for row in rows.values()],
        ]
        axis.barh(names, medians, xerr=spread, color="#4c78a8", ecolor="#333333", capsize=2)
        axis.invert_yaxis()
        axis.set_title(title, loc="left", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file)


def _by_unit(rows: Rows) -> dict[str, Rows]:
    units: dict[str, Rows] = {}
    for name, row in rows.items():
        units.setdefault(row.unit, {})[name] = row
    return units
