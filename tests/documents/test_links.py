"""Links, anchors and file names in the pages, and the picture of the rooms."""

import ast
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from docs import draw_architecture

from tests.documents.pages import PAGES, ROOT, anchors, links, name, prose, section, tables

LINKING = [
    *PAGES,
    *(
        ROOT / other
        for other in ("SECURITY.md", "CHANGELOG.md", "benchmarks/README.md", "tests/autobahn/README.md")
    ),
]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PACKAGES = ("protocol/theater_protocol", "supervisor/theater_supervisor", "worker/theater_worker")
PLACES = [ROOT, *(ROOT / package for package in PACKAGES)]
# What a reader makes.
MADE = {"manifests/counter.py", "manifests/counter.toml"}


@pytest.mark.parametrize("page", LINKING, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link into the repository is to a file that is there, every anchor to a heading."""
    dead = []
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        if not target.exists() or (parts.fragment and parts.fragment not in anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("page", LINKING, ids=name)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    """A path in code font that ends as a file of the repository does is one, also after files have moved."""
    named = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|wit|service|toml|cddl))`", prose(page))
    assert not [one for one in named if one not in MADE and not any((at / one).exists() for at in PLACES)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lines_can_be_read_in_an_editor(page: Path) -> None:
    """Prose is wrapped, as code is; tables and blocks are as wide as they must be."""
    assert not [line for line in prose(page).splitlines() if len(line) > 125 and line[:1] not in "|"]


def test_the_readme_is_a_door() -> None:
    """It fits on a few screens and leads to every page."""
    readme = ROOT / "README.md"
    assert len(readme.read_text().splitlines()) <= 150
    assert {name(page) for page in PAGES} - {"README.md"} <= set(links(readme))


def test_the_way_of_a_message_is_where_the_page_says() -> None:
    """Each step's file is there, and what the page says is in it is defined in it."""
    steps = [
        (row[1].strip("`"), re.match(r"`(\w+)(?:\(\))?`", row[2]))
        for table in tables(section(ARCHITECTURE, "The way of one message"))
        for row in table[1:]
    ]
    assert len(steps) > 15
    for file, named in steps:
        assert named is not None, file
        (module,) = [path for place in PLACES[1:] if (path := place / file).exists()]
        assert named[1] in {getattr(node, "name", None) for node in ast.parse(module.read_text()).body}, file


def test_every_room_is_in_the_page() -> None:
    """The table of rooms has all rooms of the supervisor, and no others."""
    (table,) = tables(section(ARCHITECTURE, "The rooms"))
    listed = {room for row in table[1:] for room in re.findall(r"`([\w/]+)(?:\.py|/)`", row[0])}
    rooms = {room.replace(".", "/") for room in draw_architecture.survey().rooms} - {"worker", "protocol"}
    assert listed == rooms


def test_the_picture_is_of_today_s_imports() -> None:
    """The committed picture is what the script draws now (`make picture`), and nothing in it runs up."""
    house = draw_architecture.survey()
    assert house.running_up == []
    assert draw_architecture.PICTURE.read_text() == draw_architecture.draw(house), "run `make picture`"


def test_a_message_goes_where_rooms_meet() -> None:
    """Each step in the picture follows an import, or two rooms meet below both of them, and only there."""
    house = draw_architecture.survey()
    for begin, end, _ in draw_architecture.WAY_STEPS:
        if (begin, end) in house.imports:
            continue
        meeting = "protocol" if "worker" in (begin, end) else "exchange"
        assert {(begin, meeting), (end, meeting)} <= house.imports
        assert (end, begin) not in house.imports


def test_an_import_that_runs_up_is_drawn_in_red() -> None:
    """The picture would show what the contract forbids."""
    house = draw_architecture.survey()
    spoiled: Any = draw_architecture.House(house.rooms, house.floors, house.imports | {("journal", "actor")})
    assert spoiled.running_up == [("journal", "actor")]
    red = draw_architecture._UP
    assert red in draw_architecture.draw(spoiled)
    assert red not in draw_architecture.draw(house)
