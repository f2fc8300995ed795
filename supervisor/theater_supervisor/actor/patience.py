"""A deadline that moves with every message and hardly ever passes.

Knows only times: whose patience it is, and what its end means, is the dialogue's matter.
"""

import math

import trio


class Patience:
    """Cancels `scope` when the time given last has come; `run` it in a task.

    trio's clock is set only when it is to ring earlier than it is set for, or when it has rung too early:
    setting it three times for each message took 3 % of one alone.
    """

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self._until_s = self._rings_at_s = math.inf
        self._alarm = trio.CancelScope()

    def until(self, deadline_s: float) -> None:
        """Have patience until this time of trio's clock, infinity included."""
        self._until_s = deadline_s
        if deadline_s < self._rings_at_s:
            self._rings_at_s = self._alarm.deadline = deadline_s

    async def run(self) -> None:
        """Keep the time until the patience ends."""
        while trio.current_time() < self._until_s:
            self._rings_at_s = self._until_s
            with trio.CancelScope(deadline=self._until_s) as self._alarm:
                await trio.sleep_forever()
        self.scope.cancel()
