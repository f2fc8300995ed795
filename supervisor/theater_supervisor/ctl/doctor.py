"""The command `theaterctl doctor`: is everything there that a supervisor needs?"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from theater_supervisor.ctl.arguments import with_json
from theater_supervisor.ctl.examination import Verdict, examine
from theater_supervisor.ctl.tables import painted, print_json
from theater_supervisor.terminal import escape

_FAILED: Final = 3
_MARKS: Final[dict[Verdict, tuple[str, str]]] = {
    "ok": ("ok", "green"),
    "warning": ("WARN", "yellow"),
    "failure": ("FAIL", "red"),
}


@click.command()
@with_json
@click.pass_obj
def doctor(var: Path, as_json: bool) -> None:
    """Check Python, wasmtime, SQLite, the limits of this user and the var directory; say what to mend.

    Exit status 3 when something would keep a supervisor from working.
    """
    findings = examine(var)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark, color = _MARKS[finding.verdict]
            shown = f"{finding.what} ({finding.hint})" if finding.hint else finding.what
            click.echo(f"{painted(f'{mark:4}', fg=color)}  {finding.check:10}  {escape(shown)}")
    sys.exit(_FAILED if any(finding.verdict == "failure" for finding in findings) else 0)
