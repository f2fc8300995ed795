"""What operators can ask of a running supervisor: each command checks its arguments, acts, and answers.

How a request arrives and an answer leaves is control.py's; how it is shown is theaterctl's.
"""

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Annotated, Any, Final, TypeVar

import structlog
import trio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from theater_supervisor.actor.actor import Actor
from theater_supervisor.app import Supervisor
from theater_supervisor.control.retry import retry
from theater_supervisor.errors import ManifestError, SupervisorError
from theater_supervisor.gateway.connection.connection import Connection
from theater_supervisor.journal.errors import JournalFailed
from theater_supervisor.names import UnknownName, choose
from theater_supervisor.reload import Changes
from theater_supervisor.watch.status import Observer, exit_object, to_object

NOT_READY: Final = 3
_EX_USAGE: Final = 2
_EX_SOFTWARE: Final = 70
_EX_IOERR: Final = 74
_EX_TEMPFAIL: Final = 75
_CLOSE_KICKED: Final = 1008
_POLL_S: Final = 0.02

_log = structlog.get_logger()


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoArguments(_Arguments):
    """Nothing is to be said."""


class Names(_Arguments):
    """Actors; none, or `all`, is every one."""

    names: Annotated[tuple[str, ...], Field(strict=False, max_length=10_000)] = ()
    all: bool = False


class Change(Names):
    """Actors, and how long to wait until they are as asked; 0 is not at all."""

    wait_s: Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)] = 0.0


class Name(_Arguments):
    """One actor."""

    name: str


class Which(Name):
    """One of an actor's connections."""

    connection: Annotated[int, Field(ge=1)]


class Seq(Name):
    """One of an actor's transitions."""

    seq: Annotated[int, Field(ge=0)]


class Reload(_Arguments):
    """Whether only to say what would change."""

    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command came to: its items, an exit status, and why when that is not 0."""

    items: Sequence[dict[str, Any]] = ()
    status: int = 0
    message: str = ""


_Given = TypeVar("_Given", bound=_Arguments)
_Command = Callable[[object], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands, carried out on a supervisor; before it serves it can only be asked how it is."""

    supervisor: Supervisor
    observer: Observer
    on_reload: Callable[[bool], None] = field(default=lambda _begins: None)

    async def answer(self, command: str, arguments: object) -> Answer:
        """Carry out a command. Never raises for what was asked: the answer says what is wrong with it."""
        known = self._table()
        if command not in known:
            return Answer(status=_EX_USAGE, message=f"no such command: {command!r:.40}")
        if command != "status" and not self.supervisor.serving.is_set():
            hint = "`theaterctl status` says how far it is"
            return Answer(status=_EX_TEMPFAIL, message=f"the supervisor is {self.supervisor.phase}: {hint}")
        try:
            return await known[command](arguments)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "arguments"
            return Answer(status=_EX_USAGE, message=f"{command}: {where}: {first['msg']}")
        except ManifestError as error:
            items = [{"problem": str(problem)} for problem in error.problems]
            return Answer(items, error.exit_status, "nothing was changed: the manifests have problems")
        except SupervisorError as error:
            return Answer(status=error.exit_status, message=str(error))
        except JournalFailed as error:
            return Answer(status=_EX_IOERR, message=str(error))
        # The failure boundary of a request: a mistake of ours in here must not end the supervisor.
        except Exception as error:
            _log.exception("command_failed", command=command)
            return Answer(status=_EX_SOFTWARE, message=f"internal error: {error!r}; see supervisor.log")

    async def reload(self, *, dry_run: bool = False) -> Changes:
        """Reload, tell whoever wants to know, and log what came of it. Raises as Supervisor.reload does."""
        self.on_reload(True)
        try:
            changes = await self.supervisor.reload(dry_run=dry_run)
        except ManifestError as error:
            _log.error("reload_refused", problems=[str(problem) for problem in error.problems])
            raise
        except SupervisorError as error:
            _log.error("reload_refused", reason=str(error))
            raise
        finally:
            self.on_reload(False)
        if not dry_run:
            _log.info("reloaded", **asdict(changes))
        return changes

    def _table(self) -> dict[str, _Command]:
        return {
            "status": partial(_checked, Names, self._status),
            "conns": partial(_checked, Names, self._conns),
            "explain": partial(_checked, Names, self._explain),
            "start": partial(_checked, Change, self._start),
            "stop": partial(_checked, Change, self._stop),
            "restart": partial(_checked, Change, self._restart),
            "reset": partial(_checked, Change, self._reset),
            "crash": partial(_checked, Name, self._crash),
            "kick": partial(_checked, Which, self._kick),
            "retry": partial(_checked, Seq, self._retry),
            "reload": partial(_checked, Reload, self._reload),
        }

    # Looking.

    async def _status(self, given: Names) -> Answer:
        seen = to_object(self.observer.status())
        if not self.supervisor.serving.is_set():
            return Answer([seen], NOT_READY)
        wanted = set(self._choose(given))
        seen["actors"] = [actor for actor in seen["actors"] if actor["name"] in wanted]
        ready = all(actor["ready"] or not actor["wanted"] for actor in seen["actors"])
        return Answer([seen], 0 if ready else NOT_READY)

    async def _conns(self, given: Names) -> Answer:
        wanted = set(self._choose(given))
        connections = [one for one in self.supervisor.gateway.connections if one.actor in wanted]
        connections.sort(key=lambda one: (one.actor, one.connection_id))
        return Answer([_connection_object(one) for one in connections])

    async def _explain(self, given: Names) -> Answer:
        seen = {actor["name"]: actor for actor in to_object(self.observer.status())["actors"]}
        return Answer(
            [
                seen[name] | {"exits": self._exits(name), "failures": self._failures(name)}
                for name in self._choose(given)
            ]
        )

    def _exits(self, name: str) -> list[dict[str, Any]]:
        return [exit_object(record) for record in self._actor(name).lifecycle.exits]

    def _failures(self, name: str) -> list[dict[str, Any]]:
        return [failure.to_object() for failure in self._actor(name).failures.last]

    # Changing.

    async def _start(self, given: Change) -> Answer:
        def begin(actor: Actor) -> None:
            if actor.lifecycle.state == "stopped":
                actor.resume()
            elif not actor.lifecycle.working:
                actor.reset()

        return await self._change(given, begin, "start", _is_ready)

    async def _stop(self, given: Change) -> Answer:
        return await self._change(given, Actor.pause, "stop", _has_no_worker)

    async def _restart(self, given: Change) -> Answer:
        before = {name: self._actor(name).incarnation for name in self._choose(given)}

        def is_replaced(actor: Actor) -> bool:
            return actor.incarnation > before[actor.name] and _is_ready(actor)

        def begin(actor: Actor) -> None:
            if actor.lifecycle.state == "stopped":
                actor.resume()
            else:
                actor.restart_worker()

        return await self._change(given, begin, "restart", is_replaced)

    async def _reset(self, given: Change) -> Answer:
        return await self._change(given, Actor.reset, "reset", _is_ready)

    async def _change(
        self, given: Change, begin: Callable[[Actor], None], verb: str, done: Callable[[Actor], bool]
    ) -> Answer:
        actors = [self._actor(name) for name in self._choose(given, explicitly=True)]
        for actor in actors:
            _log.info("operator_command", command=verb, actor=actor.name)
            begin(actor)
        with trio.move_on_after(given.wait_s):
            while not all(map(done, actors)):  # noqa: ASYNC110 - they move on their own
                await trio.sleep(_POLL_S)
        waiting = [actor for actor in actors if given.wait_s and not done(actor)]
        items = [{"name": actor.name, "state": actor.lifecycle.state} for actor in actors]
        if not waiting:
            return Answer(items)
        states = ", ".join(f"{actor.name} is {actor.lifecycle.state}" for actor in waiting)
        return Answer(items, NOT_READY, f"not done after {given.wait_s:g} s: {states}")

    async def _crash(self, given: Name) -> Answer:
        (name,) = choose([given.name], self.supervisor.roster.members)
        pid = self._actor(name).worker_pid
        if pid is None:
            return Answer(status=NOT_READY, message=f"{name} has no worker that could crash")
        _log.info("operator_command", command="crash", actor=name, pid=pid)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return Answer([{"name": name, "pid": pid}])

    async def _kick(self, given: Which) -> Answer:
        (name,) = choose([given.name], self.supervisor.roster.members)
        for connection in self.supervisor.gateway.connections:
            if (connection.actor, connection.connection_id) == (name, given.connection):
                _log.info("operator_command", command="kick", actor=name, connection=given.connection)
                connection.end(_CLOSE_KICKED, "closed by the operator")
                return Answer([_connection_object(connection)])
        hint = f"`theaterctl conns {name}` lists those that are open"
        raise UnknownName(f"{name} has no open connection {given.connection}: {hint}")

    async def _retry(self, given: Seq) -> Answer:
        (name,) = choose([given.name], self.supervisor.roster.members)
        member = self.supervisor.roster.members[name]
        _log.info("operator_command", command="retry", actor=name, seq=given.seq)
        return Answer([await retry(member, given.seq)])

    async def _reload(self, given: Reload) -> Answer:
        return Answer([asdict(await self.reload(dry_run=given.dry_run))])

    def _choose(self, given: Names, *, explicitly: bool = False) -> list[str]:
        if not given.names and not given.all and explicitly:
            raise UnknownName("name the actors, or say --all")
        return choose(given.names, self.supervisor.roster.members)

    def _actor(self, name: str) -> Actor:
        return self.supervisor.roster.members[name].actor


async def _checked(
    model: type[_Given], command: Callable[[_Given], Awaitable[Answer]], arguments: object
) -> Answer:
    return await command(model.model_validate(arguments))


def _is_ready(actor: Actor) -> bool:
    return actor.lifecycle.state == "ready"


def _has_no_worker(actor: Actor) -> bool:
    return actor.worker_pid is None


def _connection_object(connection: Connection) -> dict[str, Any]:
    return {
        "actor": connection.actor,
        "connection": connection.connection_id,
        "remote": connection.client_address,
        "opened_at_us": connection.opened_at_us,
        "waiting_bytes": connection.waiting_bytes,
        **{key: value for key, value in asdict(connection.traffic).items() if key != "connections"},
    }
