"""What of others' text reaches a terminal, and what becomes of output that cannot be written."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from theater_supervisor.terminal import READER_GONE, escape, escape_all, escape_lines, quote

PROGRAM = """
import sys
from theater_supervisor import terminal
terminal.prepare_streams()
try:
    print("gr\\u00fcn \\u2026 \\U0001f3ad" * int(sys.argv[1]))
    print("complaint \\u2026", file=sys.stderr)
    failure = terminal.end_output()
except terminal.OutputFailed as failed:
    failure = failed
    terminal.drop_output()
if failure:
    print(failure, file=sys.stderr)
    sys.exit(141 if failure.reader_gone else 74)
"""


def test_whatever_is_not_printable_is_escaped() -> None:
    """Controls, separators, bidirectional and zero-width characters are spelled out; tabs stay."""
    assert (
        escape("\x1b[2J\r\n\x00\x7f\x85\x9b\u2028\tend") == "\\x1b[2J\\r\\n\\x00\\x7f\\x85\\x9b\\u2028\tend"
    )
    assert escape("a\u202eb\u2066c\u200bd\ufeff\u00ad") == "a\\u202eb\\u2066c\\u200bd\\ufeff\\xad"
    assert escape("\u3164\u115f\ufe0f\u034f\U000e0100") == "\\u3164\\u115f\\ufe0f\\u034f\\U000e0100"
    assert escape("\udcff") == "\\udcff"
    for plain in ("grün", "日本語", "a\\b", "🎭", ""):
        assert escape(plain) == plain


def test_no_character_gets_through_that_is_seen_nowhere() -> None:
    """Every code point of Unicode: what comes out is printable, tabs aside."""
    shown = escape("".join(map(chr, range(sys.maxunicode + 1)))).replace("\t", "")
    hidden = [char for char in set(shown) if unicodedata.category(char)[0] == "C"]
    assert shown.isprintable()
    assert not hidden


def test_all_strings_of_an_answer_are_escaped() -> None:
    """However deep, keys too; what is no text stays what it is."""
    assert escape_all({"a\x1b": ["b\u202e", {"c": ("d\r", 1, None, True)}]}) == {
        "a\\x1b": ["b\\u202e", {"c": ["d\\r", 1, None, True]}]
    }
    assert escape_lines("one\x1b\ntwo\r") == "one\\x1b\ntwo\\r"
    assert quote("a\u3164'\x1b") == '"a\\u3164\'\\x1b"'
    assert quote(b"\xff") == "b'\\xff'"


def run(
    redirection: str, text: str = "grün \u2026 🎭", times: int = 1, **environment: str
) -> tuple[int, str, str]:
    """Run a program that prints a text, with its output redirected by a shell."""
    command = f'"$0" -c "$1" "$2" {redirection}'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command, sys.executable, PROGRAM, str(times)],
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", **environment},
        timeout=60,
        check=False,
    )
    return (
        done.returncode,
        done.stdout.decode(environment.get("PYTHONIOENCODING", "utf-8")),
        done.stderr.decode(),
    )


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LANG": "C.UTF-8"}, "grün … 🎭"),
        ({"LC_ALL": "C"}, "grün … 🎭"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "gr\\xfcn \\u2026 \\U0001f3ad"),
        ({"LANG": "C.UTF-8", "PYTHONIOENCODING": "latin-1"}, "grün \\u2026 \\U0001f3ad"),
    ],
    ids=["utf-8", "C", "ascii", "latin-1"],
)
def test_what_an_encoding_lacks_is_escaped(environment: dict[str, str], expected: str) -> None:
    """Output never fails for a character."""
    status, out, _ = run("", **environment)
    assert (status, out) == (0, f"{expected}\n")


@pytest.mark.parametrize(
    ("redirection", "times", "status", "said"),
    [
        (">&-", 1, 0, "complaint …\n"),
        ("2>&-", 1, 0, ""),
        ("<&- >&- 2>&-", 1, 0, ""),
        (">/dev/full", 1, 74, "complaint …\nstdout: No space left on device\n"),
        (">/dev/full", 100_000, 74, "stdout: No space left on device\n"),
        ("2>/dev/full", 1, 0, ""),
        ("| true", 1_000_000, READER_GONE, "stdout: Broken pipe\n"),
        ("2>&1 >/dev/full | true", 1, 74, ""),
    ],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_cannot_be_written_is_a_clean_end(
    redirection: str, times: int, status: int, said: str
) -> None:
    """Missing, closed or full: no traceback, and a status that says it; the interpreter adds nothing."""
    ended, _, err = run(redirection, times=times, LANG="C.UTF-8")
    assert (ended, err) == (status, said)


def test_a_missing_descriptor_is_not_taken_by_a_file() -> None:
    """What is opened later does not become somebody's standard output."""
    program = (
        "import os, sys; from theater_supervisor.terminal import prepare_streams; prepare_streams(); "
        "os._exit(10 + os.open('/dev/zero', os.O_RDONLY))"
    )
    command = f'"{sys.executable}" -I -c "{program}" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", command], check=False, timeout=60).returncode >= 13
