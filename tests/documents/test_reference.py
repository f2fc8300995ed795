"""The tables of the pages have all that the code has: keys, defaults, ranges, options, exit statuses."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from tests.documents.pages import PAGES, ROOT, name, page, prose, rows, section, tables
from theater_supervisor.cli import main
from theater_supervisor.ctl.main import theaterctl
from theater_supervisor.manifest.model import Manifest

MANIFESTS = page("docs/manifests.md")
OPERATING = page("docs/operating.md")
CHAIN = page("docs/chain.md")
GATEWAY = page("docs/gateway.md")
# Under which heading a model's keys are, the how-manieth table it is there.
SECTIONS = {
    "Manifest": ("The actor", 0),
    "Build": ("`[build]`", 0),
    "Handler": ("`[[handlers]]`", 0),
    "WebSocketConfig": ("`config`", 0),
    "TokenAuth": ("`auth`", 0),
    "JwtAuth": ("`auth`", 1),
    "TlsConfig": ("`tls`", 0),
    "RateLimitConfig": ("`rate_limit`", 0),
    "ReplyLimitConfig": ("`reply_limit`", 0),
    "Limits": ("`[limits]`", 0),
    "SandboxConfig": ("`[sandbox]`", 0),
    "JournalConfig": ("`[journal]`", 0),
    "RestartPolicy": ("`[restart]`", 0),
    "LogConfig": ("`[log]`", 0),
}
Schema = dict[str, Any]


def models() -> dict[str, Schema]:
    """All tables of a manifest as JSON Schema."""
    schema = Manifest.model_json_schema()
    return schema.pop("$defs") | {"Manifest": schema}


def shown_default(key: str, schema: Schema) -> str:
    """A key's default as the page has it."""
    if key in schema.get("required", ()):
        return "*required*"
    match schema["properties"][key].get("default"):
        case None | dict():
            return ""
        case bool(value):
            return f"`{str(value).lower()}`"
        case str(value):
            return f'`"{value}"`'
        case list(value):
            return f"`{value}`"
        case value:
            return number(value)


def number(value: float) -> str:
    """A number without needless digits."""
    return str(int(value)) if value == int(value) else str(value)


def shown_values(key: Schema) -> str | None:
    """A key's range or choices as the page has them; None where it has words for them."""
    if "anyOf" in key:
        (key,) = [choice for choice in key["anyOf"] if choice.get("type") != "null"] or [{}]
    match key:
        case {"enum": choices}:
            return ", ".join(f'`"{one}"`' if isinstance(one, str) else str(one) for one in choices)
        case {"exclusiveMinimum": least, "maximum": most}:
            return f"above {number(least)}, to {number(most)}"
        case {"minimum": least, "maximum": most}:
            return f"{number(least)} to {number(most)}"
        case {"exclusiveMinimum": least}:
            return f"above {number(least)}"
        case {"minimum": least}:
            return f"{number(least)} and more"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case _:
            return None


def test_every_table_of_a_manifest_has_its_place() -> None:
    """A new table is given a heading in docs/manifests.md, and here."""
    assert set(models()) == set(SECTIONS)


@pytest.mark.parametrize("model", SECTIONS)
def test_every_key_is_listed_with_its_default_and_range(model: str) -> None:
    """The page is the reference: all keys, no others, each with what holds without it and what it may be."""
    schema = models()[model]
    heading, index = SECTIONS[model]
    (_, *listed) = list(tables(section(MANIFESTS, heading)))[index]
    documented = {key.strip("`"): (default, values) for key, default, values, _ in listed}
    assert {key: default for key, (default, _) in documented.items()} == {
        key: shown_default(key, schema) for key in schema["properties"]
    }
    for key, properties in schema["properties"].items():
        # Which of the types of `auth` a table is of, its heading says.
        expected = (
            None if (model, key) in {("TokenAuth", "type"), ("JwtAuth", "type")} else shown_values(properties)
        )
        assert documented[key][1] == (expected or documented[key][1]), key


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below one, with the words that call them."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for word in command.list_commands(context):
        below = command.get_command(context, word)
        assert below is not None
        yield from commands(below, (*path, word))


THEATERCTL = dict(commands(theaterctl))


def options(command: click.Command) -> set[str]:
    """Every spelling of every option, but for --help, and --var, which theaterctl takes anywhere."""
    return {
        spelling
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for spelling in (*parameter.opts, *parameter.secondary_opts)
        if spelling != "--var"
    }


def choices(command: click.Command) -> set[str]:
    """The words that an argument may be."""
    kinds = [one.type for one in command.params if isinstance(one, click.Argument)]
    return {str(choice) for kind in kinds if isinstance(kind, click.Choice) for choice in kind.choices}


def spelled(text: str) -> set[str]:
    """The options in a text."""
    return set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))


@pytest.mark.parametrize("words", THEATERCTL, ids=" ".join)
def test_every_command_is_listed_with_its_options(words: tuple[str, ...]) -> None:
    """A row of docs/operating.md or docs/chain.md has it, with all its options and no others."""
    command = THEATERCTL[words]
    call = " ".join(words)
    mentions = [
        row
        for row in rows(CHAIN if words[0] == "chain" else OPERATING)
        if any(code == call or code.startswith(f"{call} ") for code in re.findall(r"`([^`]*)`", row[0]))
    ]
    assert len(mentions) == 1, mentions
    assert options(command) <= spelled(" ".join(mentions[0]))
    assert spelled(mentions[0][0]) <= options(command)
    assert choices(command) <= set(re.findall(r"\w+", mentions[0][0]))


def test_every_option_of_the_supervisor_is_listed() -> None:
    """All options of theater-supervise and no others."""
    (table, *_) = tables(section(OPERATING, "Operating"))
    assert spelled(" ".join(row[0] for row in table)) == options(main) | {"--var"}


def called(code: str) -> tuple[click.Command, set[str]]:
    """The command that a line calls, and the options in it."""
    program, *words = code.split()
    command: click.Command = {"theaterctl": theaterctl, "theater-supervise": main}[program]
    while isinstance(command, click.Group) and words:
        word = words.pop(0)
        if word == "--var":
            words.pop(0)
        elif not word.startswith("-"):
            below = command.get_command(click.Context(command), word)
            assert below is not None, f"{code}: no command {word}"
            command = below
    return command, spelled(" ".join(words))


@pytest.mark.parametrize("where", [*PAGES, page("SECURITY.md"), page("CHANGELOG.md")], ids=name)
def test_commands_in_a_sentence_exist(where: Path) -> None:
    """What a page calls in passing is a command, with options that it has."""
    mentioned = re.findall(r"`((?:theaterctl|theater-supervise) [^`]*)`", prose(where))
    for code in mentioned:
        command, given = called(code.replace("…", ""))
        assert given <= options(command) | {"--var"}, code


def statuses(text: str) -> set[int]:
    """The exit statuses in the first column of a page's tables."""
    return {
        int(status)
        for table in tables(text)
        for row in table[1:]
        if re.fullmatch(r"[\d, ]+", row[0])
        for status in row[0].split(",")
    }


def of_help(command: click.Command) -> set[int]:
    """The exit statuses that a command's help lists."""
    listed = (command.help or "").partition("Exit status:")[2]
    return {int(status) for status in re.findall(r"^ +(\d+) ", listed, re.MULTILINE)}


def in_the_code(package: Path) -> dict[int, str]:
    """Exit statuses that a package's code names, each with a place where it does."""
    found: dict[int, str] = {}
    for module in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            match node:
                case (
                    ast.AnnAssign(target=ast.Name(id=str(target)), value=ast.Constant(value=int(status)))
                    | ast.Assign(targets=[ast.Name(id=str(target))], value=ast.Constant(value=int(status)))
                ) if target == "exit_status" or re.match(r"_?EX_", target):
                    found[status] = f"{module.name}: {target}"
                case ast.keyword(arg="status", value=ast.Constant(value=int(status))):
                    found[status] = f"{module.name}: status={status}"
                case ast.Call(
                    func=ast.Attribute(attr="exit" | "_exit"), args=[ast.Constant(value=int(status))]
                ):
                    found[status] = f"{module.name}: exit({status})"
    return found


def test_exit_statuses_are_listed() -> None:
    """Whatever the code ends with is in a table; the pages and the commands' help say the same."""
    supervise = statuses(section(OPERATING, "Exit status"))
    chain = statuses(section(CHAIN, "Exit status"))
    ctl = statuses(section(OPERATING, "theaterctl"))
    assert supervise == of_help(main)
    assert of_help(theaterctl) <= ctl | chain
    named = in_the_code(ROOT / "supervisor")
    assert len(named) > 10
    assert {status: place for status, place in named.items() if status not in supervise | ctl | chain} == {}


def test_a_worker_s_exit_statuses_are_listed() -> None:
    """Those that a worker's end in a log can have."""
    listed = statuses(section(OPERATING, "When a worker ends"))
    named = in_the_code(ROOT / "worker" / "theater_worker")
    named.pop(64, None)  # compile.py's, which is no worker
    assert set(named) <= listed


def numbers(room: str, first: int, last: int) -> set[int]:
    """The numbers of a range that a room's code has."""
    return {
        node.value
        for module in (ROOT / "supervisor" / "theater_supervisor" / room).rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and type(node.value) is int and first <= node.value <= last
    }


def test_close_codes_are_listed() -> None:
    """Those that the gateway's and the actor's code has, but for what is in no frame of ours."""
    never_sent = {1005, 1006, 1014}
    listed = statuses(section(GATEWAY, "Close codes"))
    assert (numbers("gateway", 1001, 1015) | numbers("actor", 1001, 1015)) - never_sent == listed - {1000}


def test_refusals_are_listed() -> None:
    """Every status that a handshake can be refused with; 431 and 501 are h11's too."""
    assert numbers("gateway/door", 400, 511) | {501} == statuses(section(GATEWAY, "Refused handshakes"))


def test_the_unit_stops_at_listed_statuses() -> None:
    """systemd does not try again after statuses that the page has, and the page says why."""
    unit = (ROOT / "contrib" / "theater-supervise.service").read_text()
    (stops,) = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    (start,) = re.findall(r"^ExecStart=/opt/theater/bin/(.*)$", unit, re.MULTILINE)
    assert {int(status) for status in stops.split()} <= statuses(section(OPERATING, "Exit status"))
    command, given = called(start)
    assert given <= options(command) | {"--var"}
