"""Why a connection was closed, as the log has it and as the client reads it. Pure.

Reasons are short and neutral; the error id in brackets is the same in the log line, which says more.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from theater_supervisor.exchange import new_error_id

_WITHOUT_ERROR: Final = frozenset({1000, 1001, 1005, 1006})
_REASONS: Final = {
    1002: "protocol error",
    1007: "invalid data",
    1009: "message too big",
    1011: "internal error",
    1013: "replies are not being read",
}


def reason_for(code: int) -> str:
    """Return the usual reason of a close code."""
    return _REASONS.get(code, "")


@dataclass(frozen=True, slots=True)
class Closing:
    """Who closed, and with what."""

    by: Literal["client", "server", "dropped"]
    code: int
    reason: str
    error: str = field(default_factory=new_error_id)

    def shown(self) -> str:
        """Return the reason for the close frame."""
        if self.code in _WITHOUT_ERROR:
            return self.reason
        return f"{self.reason} [{self.error}]" if self.reason else f"[{self.error}]"

    def error_field(self) -> dict[str, str]:
        """Return what the log line has beside code and origin."""
        if self.by != "server" or self.code in _WITHOUT_ERROR:
            return {}
        return {"error": self.error, "reason": self.reason}
