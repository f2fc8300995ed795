"""Draws docs/architecture.svg, the picture of the house, from what the code really imports.

The floors are the layers of the contract in pyproject.toml, the lines what grimp (of import-linter)
finds. `make picture` writes the file, a test holds it to the code, architecture.md says what it means.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grimp

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURE: Final = ROOT / "docs" / "architecture.svg"

_STEP_PX: Final = 32  # from one room to the next, to the right and down
_BOX_PX: Final = (136, 22)
_MARGIN_PX: Final = 16
_HEADING_PX: Final = 40
_LANE_PX: Final = 9  # between the ways of a message at one box
_INK, _LINE, _BACK, _WAY, _UP = "#1f2933", "#52606d", "#f0f4f8", "#0f62fe", "#d91e18"

# A message's way from room to room, and what goes along it.
WAY_STEPS: Final = (
    ("gateway.connection", "actor", "an event, through exchange"),
    ("actor", "worker", "a delivery, a frame on the pipe"),
    ("worker", "actor", "its result, a frame on the pipe"),
    ("actor", "journal", "the transition, committed"),
    ("actor", "gateway.connection", "the replies, through exchange"),
)


@dataclass(frozen=True, slots=True)
class House:
    """Rooms from top to bottom, which floor each is on, and who imports whom."""

    rooms: tuple[str, ...]
    floors: dict[str, int]
    imports: frozenset[tuple[str, str]]

    @property
    def running_up(self) -> list[tuple[str, str]]:
        """The imports of a room on the same floor or on one above."""
        return sorted(pair for pair in self.imports if self.floors[pair[0]] >= self.floors[pair[1]])


def survey() -> House:
    """Look at the contract and at the code."""
    floors: dict[str, int] = {}
    for number, names in enumerate(_floors()):
        floors |= dict.fromkeys(names, number)
    graph = grimp.build_graph("theater_supervisor", "theater_worker", "theater_protocol", cache_dir=None)
    imports = {
        (_room(importer, floors), _room(imported, floors))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    # The supervisor's own __init__ has the version, and is no room.
    between = {(one, other) for one, other in imports if one != other and other != "supervisor"}
    return House(tuple(floors), floors, frozenset(between))


def draw(house: House) -> str:
    """Return the picture as SVG: the same text for the same house."""
    width = _x(house, house.rooms[-1]) + _BOX_PX[0] + _MARGIN_PX
    height = _y(house, house.rooms[-1]) + _BOX_PX[1] + _MARGIN_PX
    boxes = [_box(house, room) for room in house.rooms]
    parts = [*_bands(house, width), *_wires(house), *_ways(house), *_legend(house), *boxes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">\n'
        "<title>The rooms of theater-supervise and who imports whom</title>\n"
        f'<rect width="{width}" height="{height}" fill="white"/>\n'
        f'<text x="{_MARGIN_PX}" y="24" fill="{_INK}">'
        "A dot: the room at the left of its line imports the room that its arrow reaches.</text>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _floors() -> Iterator[list[str]]:
    """The rooms of each floor, top down: the supervisor's contracts, the worker, what both share."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {one["containers"][0]: one["layers"] for one in contracts if one["type"] == "layers"}
    for layer in layers["theater_supervisor"]:
        names = [name.strip() for name in layer.split("|")]
        inner = [name for name in names if f"theater_supervisor.{name}" in layers]
        for name in inner:
            yield from ([f"{name}.{room}"] for room in layers[f"theater_supervisor.{name}"])
        yield [name for name in names if name not in inner]
    yield ["worker"]
    yield ["protocol"]


def _room(module: str, floors: dict[str, int]) -> str:
    """The room that a module is in: the longest name that fits."""
    name = module.removeprefix("theater_supervisor.").removeprefix("theater_")
    while name not in floors and "." in name:
        name = name.rpartition(".")[0]
    return name


def _x(house: House, room: str) -> int:
    return _MARGIN_PX + house.rooms.index(room) * _STEP_PX


def _y(house: House, room: str) -> int:
    return _HEADING_PX + house.rooms.index(room) * _STEP_PX


def _bands(house: House, width: int) -> Iterator[str]:
    """Every second floor has a background of its own."""
    for floor in range(0, max(house.floors.values()) + 1, 2):
        rooms = [room for room in house.rooms if house.floors[room] == floor]
        top = _y(house, rooms[0]) - (_STEP_PX - _BOX_PX[1]) // 2
        yield f'<rect y="{top}" width="{width}" height="{len(rooms) * _STEP_PX}" fill="{_BACK}"/>'


def _wires(house: House) -> Iterator[str]:
    """From an importer to the right, then down to what it imports; one that runs up is red, on the left."""
    for room in house.rooms:
        importers = [one for one in house.rooms if (one, room) in house.imports]
        down = [one for one in importers if (one, room) not in house.running_up]
        x, y = _x(house, room) + _BOX_PX[0] - _STEP_PX // 4, _y(house, room)
        if down:
            top = _middle(house, down[0])
            yield f'<path d="M{x} {top}V{y - 5}" stroke="{_LINE}" fill="none"/>'
            yield f'<path d="M{x - 4} {y - 7}L{x} {y}L{x + 4} {y - 7}Z" fill="{_LINE}"/>'
        for one in down:
            middle = _middle(house, one)
            begin = _x(house, one) + _BOX_PX[0]
            yield f'<path d="M{begin} {middle}H{x}" stroke="{_LINE}" stroke-opacity="0.35"/>'
            yield f'<circle cx="{x}" cy="{middle}" r="4" fill="{_INK}"/>'
    for one, other in house.running_up:
        lane = _x(house, other) + _LANE_PX
        yield _arrow((_x(house, one), _middle(house, one)), lane, _y(house, other) + _BOX_PX[1], _UP)


def _ways(house: House) -> Iterator[str]:
    """The steps of a message, below the boxes, each in a lane of its own."""
    lanes: dict[str, int] = {}
    for number, (begin, end, _) in enumerate(WAY_STEPS, 1):
        upper, lower = sorted((begin, end), key=house.rooms.index)
        lanes[upper] = lanes.get(upper, 0) + 1
        lane = _x(house, upper) + lanes[upper] * _LANE_PX - _LANE_PX // 2
        lower_y = _middle(house, lower) + (number - 3) * 4
        top = _y(house, upper) + _BOX_PX[1]
        if upper == begin:
            yield _arrow((lane, top), lane, lower_y, _WAY, to_x=_x(house, lower))
        else:
            yield _arrow((_x(house, lower), lower_y), lane, top, _WAY)
        yield f'<text x="{lane + 2}" y="{top + 18}" font-size="9" fill="{_WAY}">{number}</text>'


def _legend(house: House) -> Iterator[str]:
    """What the numbers are, in the corner that stays empty as long as nothing runs up."""
    bottom = _y(house, house.rooms[-1])
    lines = [
        "The way of one message:",
        *(f"{number}  {what}" for number, (_, _, what) in enumerate(WAY_STEPS, 1)),
    ]
    for row, line in enumerate(lines):
        y = bottom - (len(lines) - row) * 18
        yield f'<text x="{_MARGIN_PX}" y="{y}" fill="{_WAY}">{line}</text>'


def _arrow(begin: tuple[int, int], lane: int, y: int, color: str, to_x: int | None = None) -> str:
    """A line along a lane: down it and then right to `to_x`, or, without that, left to it and then up."""
    x, from_y = begin
    if to_x is None:
        path, head = f"M{x} {from_y}H{lane}V{y + 5}", f"M{lane - 3} {y + 6}L{lane} {y}L{lane + 3} {y + 6}Z"
    else:
        path, head = f"M{x} {from_y}V{y}H{to_x - 5}", f"M{to_x - 6} {y - 3}L{to_x} {y}L{to_x - 6} {y + 3}Z"
    return (
        f'<path d="{path}" stroke="{color}" stroke-width="1.5" fill="none"/><path d="{head}" fill="{color}"/>'
    )


def _middle(house: House, room: str) -> int:
    return _y(house, room) + _BOX_PX[1] // 2


def _box(house: House, room: str) -> str:
    (x, y), (width, height) = (_x(house, room), _y(house, room)), _BOX_PX
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="white" stroke="{_INK}"/>'
        f'<text x="{x + 8}" y="{y + 15}" fill="{_INK}">{room}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(survey()))
