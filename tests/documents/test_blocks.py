"""Every block of the pages is run: commands at a real supervisor, manifests and actors by what reads them."""

import tomllib
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from tests.documents.console import UNRUN, Reader, commands, matches, visit
from tests.documents.pages import PAGES, ROOT, Block, blocks, name, page, section, tables
from tests.integration.running import supervisor, write_manifest
from tests.integration.test_admin import free_port, get
from tests.unit.test_examples import MessageType, load
from theater_supervisor.manifest.model import load_directory

# The languages that a block may be in, and where one in them may be. What is not here has no test.
LANGUAGES = {
    "": "a picture, or lines of a file",
    "console": "run here",
    "python": "run here: an actor, or a client",
    "toml": "read here",
    "js": "tests/integration/test_browser.py",
    "nginx": "tests/integration/test_proxies.py",
    "haproxy": "tests/integration/test_proxies.py",
}
ELSEWHERE = {"js", "nginx", "haproxy"}
ALL = [block for one in PAGES for block in blocks(one)]
MANIFESTS = [block for block in ALL if block.language == "toml"]
ACTORS = [block for block in ALL if block.language == "python" and "WebsocketServer" in block.text]
RUN = [block for block in ALL if block.language in {"console", "python"} and block not in ACTORS]
PAGES_TO_RUN = sorted({block.page for block in RUN})


@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_has_a_test(block: Block) -> None:
    """Its language is known; one that another test runs is in the page that this test reads."""
    assert block.language in LANGUAGES
    assert block.language not in ELSEWHERE or name(block.page) == "docs/gateway.md"


def test_what_is_not_run_is_still_there() -> None:
    """The list of commands without a test has none that no page has."""
    assert set(UNRUN) <= {command.text for block in RUN for command in commands(block)}


@pytest.mark.parametrize("block", MANIFESTS, ids=str)
def test_a_manifest_is_read(block: Block, tmp_path: Path) -> None:
    """The real reader finds nothing wrong, with the files that it names beside it."""
    manifest = tomllib.loads(block.text)
    for file in (manifest["component_path"], *manifest.get("build", {}).values()):
        (tmp_path / file).touch()
    (tmp_path / "documented.toml").write_text(block.text)
    assert [one.name for one in load_directory(tmp_path)] == [manifest["name"]]


@pytest.mark.parametrize("block", ACTORS, ids=str)
def test_an_actor_counts(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages' actors are counters: of messages, and of nothing else."""
    (tmp_path / "counter.py").write_text(block.text)
    counter = load("counter", monkeypatch, tmp_path)
    assert counter.tell(MessageType.CONNECT) == []
    assert counter.tell(MessageType.TEXT, "a") == ["1 so far"]
    assert counter.tell(MessageType.TEXT, "b") == ["2 so far"]
    assert counter.tell(MessageType.CLOSE) == []
    assert counter.state == b"2"
    assert counter.logged == (["message 1: a", "message 2: b"] if "runtime.log" in block.text else [])


@pytest.mark.timeout(300)  # the first time, the examples are built and compiled
@pytest.mark.parametrize("documented", PAGES_TO_RUN, ids=name)
def test_a_page_s_commands_do_what_it_shows(documented: Path, tmp_path: Path) -> None:
    """In order, each as it stands, beside the examples; but for README.md after the visit it tells of."""
    serve_examples(tmp_path)

    async def main() -> None:
        async with supervisor(tmp_path) as running, AsyncExitStack() as clients:
            reader = Reader(running, clients)
            if name(documented) != "README.md":
                await visit(reader, running)
            for block in (one for one in RUN if one.page == documented):
                await reader.follow(block)

    trio.run(main)


def serve_examples(directory: Path) -> None:
    """Write manifests of the examples, on free ports, and the directory where heads are noted."""
    (directory / "elsewhere").mkdir()
    for example, config in (("chat", {"max_connections": 100}), ("echo", {})):
        source = ROOT / "manifests" / f"{example}.py"
        write_manifest(
            directory, example, source.with_suffix(".wasm"), f'[build]\npython = "{source}"\n', **config
        )


def test_every_metric_is_listed(tmp_path: Path) -> None:
    """What /metrics serves is what docs/operating.md lists, by its whole name."""
    write_manifest(tmp_path, "echo", "echo")
    port = free_port()

    async def main() -> str:
        async with supervisor(tmp_path, "--admin", f"127.0.0.1:{port}"):
            return (await trio.to_thread.run_sync(get, port, "/metrics"))[1]

    served = {line.split()[2] for line in trio.run(main).splitlines() if line.startswith("# TYPE ")}
    (table,) = tables(section(page("docs/operating.md"), "Metrics"))
    listed = {f"theater_{metric.strip(' `')}" for row in table[1:] for metric in row[0].split(",")}
    assert served == listed


@pytest.mark.parametrize(
    ("shown", "seen", "same"),
    [
        ("up 4.9s, RSS 66.1 MiB", "up 1m 12s, RSS 1.2 GiB", True),
        ("HEAD\n63a0f6fb", "HEAD\nf21522a5", True),
        ("a  1\n…\nb", "a     12\nx\ny\nb\n", True),
        ("a\n…\nb", "a\nb", True),
        ("P99 -  end", "P99 0.7  end", True),
        ("chat is ready", "chat is held", False),
        ("chat is ready", "chat is ready\necho is ready", False),
        ("ID FROM OPEN", "ID FROM", False),
    ],
)
def test_outputs_are_compared_by_shape(shown: str, seen: str, same: bool) -> None:
    """Numbers, hashes and widths may be others; words, lines and columns may not."""
    assert matches(shown, seen) is same
