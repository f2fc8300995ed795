"""When memory is given back: after a crowd of connections, or of bytes that waited, has ebbed.

How it is given back is `heap`'s.
"""

from typing import Final

import trio

from theater_supervisor.gateway.connection.heap import Crowd, give_back
from theater_supervisor.gateway.connection.inbox import ReceiveBudget
from theater_supervisor.gateway.connection.outbound import SendBudget

_CROWD: Final = 32
_BACKLOG_BYTES: Final = 4 * 1024 * 1024
_TIDY_AFTER_S: Final = 2


class Tidying:
    """Follows how many connections there are and how much they hold; `run` it once it `is_due`."""

    def __init__(self, send_budget: SendBudget, receive_budget: ReceiveBudget) -> None:
        self._budgets = (send_budget, receive_budget)
        self._crowd = Crowd(_CROWD)
        self._backlog = Crowd(_BACKLOG_BYTES)
        self._scope: trio.CancelScope | None = None

    def note(self, connections: int) -> bool:
        """Note how many connections there are and how much they hold; True when half of either has gone."""
        self._backlog.ebbed(sum(budget.peak_bytes for budget in self._budgets))
        for budget in self._budgets:
            budget.peak_bytes = budget.held_bytes
        # Both are told.
        return self._crowd.ebbed(connections) | self._backlog.ebbed(
            sum(budget.held_bytes for budget in self._budgets)
        )

    def is_due(self, connections: int) -> bool:
        """Note the same; True when it is time to `run`, and nobody does."""
        return self.note(connections) and self._scope is None

    async def run(self) -> None:
        """Give back what a crowd has left, once the actors are through with what it sent."""
        with trio.CancelScope() as self._scope:
            await trio.sleep(_TIDY_AFTER_S)
            give_back()
        self._scope = None

    def cancel(self) -> None:
        """Give nothing back any more."""
        if self._scope is not None:
            self._scope.cancel()
