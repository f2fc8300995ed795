"""The host functions of interface 2: `view` of the worker's ledger, and `log`.

What `view` answers is as of the beginning of the event, and follows from the chain.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from theater_protocol.interface2.ledger import Ledger2
from theater_worker.output import GuestOutput

MAX_PAGE: Final = (
    10_000  # what one call may ask for: a page is copied, and counts for the time limit only then
)
_LEVELS: Final = {"debug": "debug: ", "info": "", "warning": "warning: ", "error": "error: "}

HostFunctions = Mapping[str, Callable[..., Any]]


class View:
    """What an actor may ask of `ledger`, which is replaced when the worker starts."""

    def __init__(self, ledger: Ledger2) -> None:
        self.ledger = ledger

    def functions(self) -> HostFunctions:
        """Return the functions of the interface `view`, by name."""
        return {
            "members": lambda room, after, limit: self.ledger.members(room, after, min(limit, MAX_PAGE)),
            "count": lambda room: self.ledger.count(room),
            "rooms-of": lambda connection: self.ledger.rooms_of(connection),
            "rooms": lambda after, limit: self.ledger.list_rooms(after, min(limit, MAX_PAGE)),
            "timer": lambda name: self.ledger.timer(name),
        }


def log_functions(output: GuestOutput) -> HostFunctions:
    """Return the functions of the interface `log`, by name; a line says its level unless it is info."""
    return {"log": lambda level, message: output.line("L", _LEVELS[level] + message)}
