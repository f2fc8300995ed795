"""Reading the pages: their code blocks, tables, headings and links. No test logic here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"


def name(page: Path) -> str:
    """A page as one refers to it."""
    return str(page.relative_to(ROOT))


def page(where: str) -> Path:
    """The page of that name."""
    return ROOT / where


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The blocks of a page, or those in one language, in order."""
    text = page.read_text()
    found = (
        Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for match in _BLOCK.finditer(text)
    )
    return [block for block in found if language in (None, block.language)]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return _BLOCK.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Where a page's links lead, those of images too."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """What can follow a `#`: the headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: Path, heading: str) -> str:
    """What is below a heading, up to the next one of any depth."""
    parts = re.split(r"^#+ (.*)$\n", prose(page), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def tables(text: str) -> Iterator[list[list[str]]]:
    """The tables in a text: their rows, the first the heading, without the line below it."""
    for match in re.finditer(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in _CELL.split(line)[1:-1]] for line in match[0].splitlines()]
        yield [rows[0], *rows[2:]]


def rows(page: Path) -> list[list[str]]:
    """The rows of all tables of a page."""
    return [row for table in tables(prose(page)) for row in table]
