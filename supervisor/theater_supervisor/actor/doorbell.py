"""A way to wake one waiting task, for tasks that look for themselves what there is to do."""

import trio


class Doorbell:
    """Wakes the one task that waits for something to do; a ring is never lost."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake the waiter, now or when it next waits."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for a ring and take it."""
        await self._event.wait()
        self._event = trio.Event()
