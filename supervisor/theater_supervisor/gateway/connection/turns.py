"""Turns for long pieces of work, so that a round of the event loop stays short however many clients want one.

A quiet client's message waits for some rounds of the loop on its way, and a round is as long as everything in
it. Nothing here knows what the work is.
"""

from typing import Final

import trio

_PER_ROUND: Final = 2


class Turns:
    """In each round of the event loop two of those who wait, in the order in which they came."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(_PER_ROUND)

    async def next(self) -> None:
        """Wait for a turn, in the next round or a later one; it lasts until the caller waits for anything."""
        # Who gets a token runs in the round after; so do those to whom they are passed on here.
        async with self._limiter:
            pass
