"""The two commands as they are typed: what they import, where --var stands, completion, where output goes."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.integration.running import Running, supervisor_beside, write_manifest
from theater_supervisor.ctl.main import theaterctl

BIN = Path(sys.executable).parent
PATIENCE_S = 60
# What costs a command's start most: each of them more than all that `--version` needs.
SLOW = {"apsw", "asyncio", "pydantic", "rich", "structlog", "trio"}
LOADED = """
import atexit, sys
atexit.register(lambda: print("LOADED", *sys.modules, file=sys.stderr))
from {module} import main
sys.argv[0] = {command!r}
main()
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A supervisor with two actors, for all tests here."""
    directory = tmp_path_factory.mktemp("commands")
    write_manifest(directory, "echo", "echo")
    write_manifest(directory, "counter", "counter")
    with supervisor_beside(directory) as found:
        yield found


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a child, in UTF-8 unless the environment says otherwise."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("THEATER_VAR", "COLUMNS")}
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        encoding="utf-8",
        env=inherited | {"LC_ALL": "C.UTF-8"} | environment,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["status"]], ids=" ".join)
def test_theaterctl_imports_little(running: Running, arguments: list[str]) -> None:
    """What is asked often is there at once: nothing is imported that only other commands need."""
    program = LOADED.format(module="theater_supervisor.ctl.main", command="theaterctl")
    done = run(sys.executable, "-c", program, *arguments, THEATER_VAR=str(running.var))
    assert done.returncode == 0, done
    loaded = set(done.stderr.partition("LOADED")[2].split())
    assert "click" in loaded
    assert not loaded & SLOW


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_theater_supervise_imports_little(argument: str) -> None:
    """Its options are told without what serving needs."""
    program = LOADED.format(module="theater_supervisor.cli", command="theater-supervise")
    done = run(sys.executable, "-c", program, argument)
    assert done.returncode == 0, done
    assert not set(done.stderr.partition("LOADED")[2].split()) & (SLOW | {"theater_protocol"})


@pytest.mark.parametrize(
    ("before", "after", "variable"),
    [
        ("right", "", ""),
        ("", "right", ""),
        ("", "", "right"),
        ("wrong", "right", "wrong"),
        ("right", "", "wrong"),
    ],
    ids=["before", "after", "variable", "the last one", "before the variable"],
)
def test_the_directory_may_stand_anywhere(running: Running, before: str, after: str, variable: str) -> None:
    """Before the command, after it, or in the environment; the nearest to the end of the line counts."""

    def option(which: str) -> list[str]:
        return ["--var", str(running.var if which == "right" else running.var / "nowhere")] if which else []

    environment = {"THEATER_VAR": option(variable)[1]} if variable else {}
    arguments = [*option(before), "chain", "head", "echo", *option(after)]
    done = run(BIN / "theaterctl", *arguments, **environment)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout


def test_every_command_takes_the_directory() -> None:
    """Each has --var, those of groups too, and each is in the list of commands with what it does."""
    context = click.Context(theaterctl)

    def check(command: click.Command) -> None:
        assert any("--var" in parameter.opts for parameter in command.params), command.name
        assert command.get_short_help_str()
        if isinstance(command, click.Group):
            for below in command.commands.values():
                check(below)

    names = theaterctl.list_commands(context)
    assert len(names) >= 14
    for name in names:
        command = theaterctl.get_command(context, name)
        assert command is not None
        check(command)


def test_theater_supervise_takes_the_variable(tmp_path: Path) -> None:
    """THEATER_VAR stands for --var there, too."""
    write_manifest(tmp_path, "echo", "echo")
    done = run(BIN / "theater-supervise", "--check", tmp_path / "manifests", THEATER_VAR=str(tmp_path / "v"))
    assert done.returncode == 0, done
    assert (tmp_path / "v" / "cache").is_dir()


def completed(words: str, shell: str = "bash", command: str = "theaterctl", var: Path | None = None) -> str:
    """Return what the shell is offered for the last word, by click's protocol."""
    variable = f"_{command.upper().replace('-', '_')}_COMPLETE"
    environment = {variable: f"{shell}_complete", "COMP_WORDS": words, "THEATER_VAR": str(var or "nowhere")}
    last = words.rpartition(" ")[2]
    environment["COMP_CWORD"] = last if shell == "fish" else str(len(words.split(" ")) - 1)
    done = run(BIN / command, **environment)
    assert done.stderr == "", done
    return done.stdout


def words_of(offered: str) -> list[str]:
    """Return the words that bash is offered."""
    return [line.partition(",")[2] for line in offered.splitlines()]


def test_the_shell_completes_names(running: Running) -> None:
    """Commands, options, actors that are served or have kept something, logs and connections."""
    var = running.var
    assert {"status", "start", "stop"} <= set(words_of(completed("theaterctl st")))
    assert words_of(completed("theaterctl chain ver")) == ["verify"]
    assert "--wide" in words_of(completed("theaterctl status --"))
    assert words_of(completed("theaterctl status ", var=var)) == ["counter", "echo"]
    assert words_of(completed("theaterctl restart echo ", var=var)) == ["counter"]
    assert words_of(completed("theaterctl crash e", var=var)) == ["echo"]
    assert words_of(completed(f"theaterctl --var {var} chain verify c")) == ["counter"]
    assert words_of(completed(f"theaterctl dead --var {var} e")) == ["echo"]
    assert words_of(completed("theaterctl logs ", var=var)) == ["counter", "echo", "supervisor"]
    assert completed("theaterctl kick ", var=var) == "\n"
    assert words_of(completed("theaterctl dead echo s", var=var)) == ["show"]
    assert completed("theaterctl --var ") == "dir,\n"


def test_completion_never_complains() -> None:
    """Without a supervisor, or without a var directory, there is nothing to offer."""
    for words in ("status ", "kick ", "chain show ", "logs ", "dead echo show "):
        assert completed(f"theaterctl {words}") in ("", "\n")


@pytest.mark.parametrize(
    ("shell", "offered"),
    [
        ("bash", "plain,status\n"),
        ("zsh", "plain\nstatus\nShow how the actors are."),
        ("fish", "plain,status\tShow how the actors are."),
    ],
)
def test_completion_works_in_each_shell(shell: str, offered: str) -> None:
    """click's protocol of each, and the script that puts it into the shell."""
    assert completed("theaterctl statu", shell=shell).strip() == offered.strip()
    assert "--check" in completed("theater-supervise --ch", shell=shell, command="theater-supervise")
    for command in ("theaterctl", "theater-supervise"):
        variable = f"_{command.upper().replace('-', '_')}_COMPLETE"
        script = run(BIN / command, **{variable: f"{shell}_source"})
        assert (script.returncode, variable in script.stdout) == (0, True)


NARROW = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("status", NARROW),
        ("chain show echo", NARROW),
        ("chain export --help", NARROW),
        ("logs supervisor", NARROW),
        ("nosuch…", NARROW),
        ("dead echo", {"PYTHONIOENCODING": "ascii"}),
        ("explain", {"PYTHONIOENCODING": "latin-1"}),
        ("nosuch…", {"LC_ALL": "C"}),
    ],
)
def test_no_character_ends_a_command(running: Running, command: str, environment: dict[str, str]) -> None:
    """Where the encoding is narrow, what it lacks is escaped; there are no tracebacks."""
    done = run(BIN / "theaterctl", "--var", running.var, *command.split(), **environment)
    assert done.returncode in (0, 2, 3)
    assert "Traceback" not in done.stderr
    if environment == NARROW:
        assert (done.stdout + done.stderr).isascii()


@pytest.mark.parametrize(
    ("command", "redirection", "status"),
    [
        ("status", ">&-", 0),
        ("status", ">&- 2>&- <&-", 0),
        ("status", "2>/dev/full", 0),
        ("status", ">/dev/full", 74),
        ("--help", ">/dev/full", 74),
        ("chain export echo", ">/dev/full", 74),
        ("status", "| true", 141),
        ("chain export echo", "2>&1 | true", 141),
        ("logs -n 9", "| true", 141),
    ],
)
def test_output_that_goes_nowhere_is_a_clean_end(
    running: Running, command: str, redirection: str, status: int
) -> None:
    """A stdout that is closed, full or unread: one line or none, and a status that says so."""
    line = f"{BIN}/theaterctl --var {running.var} {command} {redirection}"
    if redirection.endswith("true"):  # its reader has gone before anything is written
        line = f"(sleep 0.3; {line.removesuffix('| true')}) | true"
    done = run("bash", "-o", "pipefail", "-c", line)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.returncode == status, done
    if done.returncode == 74:
        assert done.stderr.endswith("theaterctl: stdout: No space left on device\n")


def test_json_is_ascii_and_the_same(running: Running) -> None:
    """What scripts read is for every encoding and every terminal, whatever is in it."""
    done = run(BIN / "theaterctl", "--var", running.var, "status", "--json", PYTHONIOENCODING="ascii")
    assert {actor["name"] for actor in json.loads(done.stdout)["actors"]} == {"counter", "echo"}


def on_terminal(columns: int, *command: str | Path, **environment: str) -> str:
    """Run a command on a terminal that wide; return what it shows, without colours."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(
        list(map(str, command)),
        stdin=side,
        stdout=side,
        stderr=side,
        env={key: value for key, value in os.environ.items() if key != "COLUMNS"} | environment,
    ) as process:
        os.close(side)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: nobody writes any more
            while data := os.read(main, 65536):
                shown += data
        os.close(main)
        assert process.wait(PATIENCE_S) == 0
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 80, 100, 160])
def test_a_table_fits_its_terminal(running: Running, columns: int) -> None:
    """No line is longer than the terminal is wide; --wide has all columns, as a pipe has."""

    def shown(*command: str) -> list[str]:
        told = on_terminal(columns, BIN / "theaterctl", "--var", running.var, *command, NO_COLOR="1")
        return told.splitlines()

    narrow, history = shown("status"), shown("chain", "show", "counter")
    assert max(map(len, narrow + history)) <= columns
    assert narrow[1].startswith("NAME")
    assert history[0].split()[0] == "SEQ"
    assert (narrow[-1].startswith("--wide shows also ")) == (columns < 160)
    titles = run(BIN / "theaterctl", "status", THEATER_VAR=str(running.var)).stdout.splitlines()[1].split()
    assert shown("status", "--wide")[1].split() == titles


def test_the_supervisors_log_is_readable_on_a_terminal(running: Running) -> None:
    """There it is told in words; in a pipe it is what it is in the file, and --json is JSON."""
    command = (BIN / "theaterctl", "--var", running.var, "logs", "supervisor", "-n", "100")
    shown = on_terminal(120, *command, NO_COLOR="1")
    assert re.search(
        r"^\S+Z  info      worker_ready  actor=echo  incarnation=1  pid=\d+", shown, re.MULTILINE
    )
    assert "{" not in shown
    piped = run(*command).stdout.splitlines()
    file = (running.var / "log" / "supervisor.log").read_text().splitlines()
    assert piped == file[-len(piped) :]
    assert all(
        json.loads(line)["log"] == "supervisor" for line in run(*command, "--json").stdout.splitlines()
    )
