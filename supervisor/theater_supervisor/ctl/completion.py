"""What a shell is offered for the names of actors and connections.

A supervisor that does not answer soon, or none, offers nothing: completion never complains. Commands and
options are completed by click.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import click

from theater_supervisor.errors import SupervisorError

_ANSWER_S: Final = 2.0
_MOST: Final = 500


def complete_served(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the actors that a running supervisor serves, those not named yet."""
    named = context.params.get("names") or ()
    actors = (actor["name"] for seen in _asked(context, "status") for actor in seen["actors"])
    return _beginning(incomplete, (name for name in actors if name not in named))


def complete_connection(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the open connections, as NAME/ID."""
    found = _asked(context, "conns")
    return _beginning(incomplete, (f"{one['actor']}/{one['connection']}" for one in found))


def complete_kept(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the actors that have kept something, served or not."""
    return _beginning(incomplete, _entries(_var(context) / "data"))


def complete_log(context: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Offer the logs that are there."""
    files = _entries(_var(context) / "log")
    return _beginning(incomplete, (name.removesuffix(".log") for name in files if name.endswith(".log")))


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))[:_MOST]


def _asked(context: click.Context, command: str) -> list[dict[str, Any]]:
    from theater_supervisor.ctl.client import ask  # the commands of files can do without

    try:
        return ask(_var(context), command, answer_s=_ANSWER_S).items
    except SupervisorError:
        return []


def _entries(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError:
        return []


def _var(context: click.Context) -> Path:
    var = context.find_root().params["var"]
    assert isinstance(var, Path)
    return var
