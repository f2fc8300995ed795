"""The running set of actors: each in a task of its own that opens what it needs, runs it and closes it.

Actors come and go while others run. Which ones there shall be is decided in reload.py, and how clients reach
them is the gateway's affair.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

import structlog
import trio

from theater_supervisor.actor.actor import Actor
from theater_supervisor.errors import CriticalActorHeld
from theater_supervisor.member import Member, Surroundings, open_member
from theater_supervisor.reload import Configured

_POLL_S: Final = 0.01

_log = structlog.get_logger()


class Roster:
    """The actors that are served, by name. `on_failure` hears of a critical actor that is held."""

    def __init__(
        self,
        nursery: trio.Nursery,
        surroundings: Surroundings,
        on_failure: Callable[[CriticalActorHeld], None],
    ) -> None:
        self.members: dict[str, Member] = {}
        self._nursery = nursery
        self._surroundings = surroundings
        self._on_failure = on_failure

    @property
    def configured(self) -> dict[str, Configured]:
        """How every actor is configured."""
        return {name: member.configured for name, member in self.members.items()}

    async def add(self, newcomers: Mapping[str, Configured]) -> None:
        """Open all of these actors, then run them.

        Raises what open_member raises, with none of them left open.
        """
        begin = trio.Event()
        opened: dict[str, Member] = {}
        try:
            for name, configured in newcomers.items():
                opened[name] = await self._nursery.start(self._keep, configured, begin)
        except BaseException:
            for member in opened.values():
                member.scope.cancel()
            raise
        self.members |= opened
        begin.set()

    def warn_of_orphans(self) -> None:
        """Warn of data that no actor has any more, beside actors that begin with none: one may be renamed."""
        fresh = sorted(name for name, member in self.members.items() if member.journal.head.seq == 0)
        orphans = sorted(
            path.parent.name
            for path in (self._surroundings.var / "data").glob("[a-z0-9]*/journal.db")
            if path.parent.name not in self.members
        )
        if fresh and orphans:
            _log.warning(
                "data_without_actor",
                kept=orphans,
                new=fresh,
                advice="after a renaming: stop, `theaterctl chain state OLD >FILE`, `theaterctl state set "
                "NEW FILE`; what is not needed any more: `theaterctl purge OLD`",
            )

    async def keep(self, changed: Mapping[str, Configured]) -> None:
        """Keep what these actors need to be changed. Raises VarUnusable."""
        for name, configured in changed.items():
            await self.members[name].keep(configured)

    async def change(self, changed: Mapping[str, Configured]) -> None:
        """Let these actors be as configured from now on, after `keep`."""
        for name, configured in changed.items():
            await self.members[name].change(configured)

    async def remove(self, names: Collection[str], grace_s: float) -> None:
        """Let these actors handle what is queued, for at most `grace_s`, then end them."""
        leaving = [self.members.pop(name) for name in names]
        for member in leaving:
            member.actor.stop()
        try:
            with trio.move_on_after(grace_s):
                for member in leaving:
                    await member.ended.wait()
        finally:
            for member in leaving:
                member.scope.cancel()

    async def drained(self) -> None:
        """Wait until no actor that has a worker, or is about to, has an event left."""
        # They all move on their own; looking now and then is simpler than being told of every step.
        while any(_has_work(member.actor) for member in self.members.values()):  # noqa: ASYNC110
            await trio.sleep(_POLL_S)

    async def _keep(
        self, configured: Configured, begin: trio.Event, task_status: trio.TaskStatus[Member]
    ) -> None:
        async with open_member(configured, self._surroundings) as member:
            task_status.started(member)
            try:
                with member.scope:
                    await begin.wait()
                    await self._run(member)
            finally:
                member.ended.set()

    async def _run(self, member: Member) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, member)
            await member.actor.run()
            nursery.cancel_scope.cancel()

    async def _watch(self, member: Member) -> None:
        await member.actor.wait_failed()
        name = member.actor.name
        self._on_failure(CriticalActorHeld(f"the critical actor {name} is held: it dies too often"))


def _has_work(actor: Actor) -> bool:
    return actor.queue > 0 and actor.lifecycle.working
