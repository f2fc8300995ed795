"""Manifests: what an actor's TOML file may say, and reading a directory of them.

The models are the reference for keys, types, ranges and defaults. Reading reports every problem of every
file at once; manifest_check has the rules between keys and files, manifest_wording the sentences. Nothing
here starts, builds or binds anything.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
)
from pydantic_core import ErrorDetails

from theater_supervisor.errors import ManifestError, Problem
from theater_supervisor.files import read_regular
from theater_supervisor.manifest.check import Claims, Endpoint, check_claims, why_unreadable
from theater_supervisor.manifest.tables import (
    JournalConfig,
    Limits,
    LogConfig,
    RestartPolicy,
    SandboxConfig,
    Table,
)
from theater_supervisor.manifest.websocket import (
    AUTH_TAGS,
    File,
    JwtAuth,
    RateLimitConfig,
    ReplyLimitConfig,
    TlsConfig,
    TokenAuth,
    WebSocketConfig,
)
from theater_supervisor.manifest.wording import describe

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_TOML_POSITION: Final = re.compile(r" \(at (line \d+, column \d+)\)$")

_Model = TypeVar("_Model", bound=BaseModel)


def _actor_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("is not an actor's name", "1 to 64 of a-z, 0-9 and -, the first not -")
    if value == "supervisor":
        raise ValueError("is reserved", "supervisor.log is the supervisor's own log")
    return value


def _sha256(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", value):
        raise ValueError("is not a SHA-256", "64 hex digits, as sha256sum prints them")
    return value


def _python_module(value: Path) -> Path:
    if value.suffix != ".py" or not value.stem.isidentifier():
        raise ValueError("is not a Python module's file", "such as chat.py")
    return value


def _at_least_one(value: tuple[_Model, ...]) -> tuple[_Model, ...]:
    if not value:
        raise ValueError("without an entry", "write [[handlers]]")
    return value


class Handler(Table):
    """A way into the actor."""

    type: Literal["websocket-server"]
    config: WebSocketConfig


class Build(Table):
    """How to make the component from source when it is missing or was made of something else."""

    python: Annotated[File, AfterValidator(_python_module)]
    world: Literal["websocket-actor", "websocket-actor-with-init"] = "websocket-actor"
    timeout_s: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 600.0


class Manifest(Table):
    """One actor. Paths are relative to the manifest's file until read, then joined to its directory."""

    name: Annotated[str, AfterValidator(_actor_name)]
    component_path: File
    sha256: Annotated[str, AfterValidator(_sha256)] | None = None
    init_state: File | None = None
    description: str = ""
    build: Build | None = None
    handlers: Annotated[tuple[Handler, ...], Field(strict=False), AfterValidator(_at_least_one)]
    limits: Limits = Limits()
    sandbox: SandboxConfig = SandboxConfig()
    journal: JournalConfig = JournalConfig()
    restart: RestartPolicy = RestartPolicy()
    log: LogConfig = LogConfig()
    _file: Path = PrivateAttr()

    def model_post_init(self, context: object, /) -> None:
        """Remember which file this was read from: it is the validation's context."""
        assert isinstance(context, Path)
        self._file = context

    @property
    def file(self) -> Path:
        """The manifest's own file."""
        return self._file


_TABLES: Final[dict[str, type[BaseModel]]] = {
    "": Manifest,
    "build": Build,
    "handlers": Handler,
    "handlers.config": WebSocketConfig,
    "handlers.config.tls": TlsConfig,
    "handlers.config.rate_limit": RateLimitConfig,
    "handlers.config.reply_limit": ReplyLimitConfig,
    "limits": Limits,
    "sandbox": SandboxConfig,
    "journal": JournalConfig,
    "restart": RestartPolicy,
    "log": LogConfig,
}
_KEYS: Final = {name: tuple(model.model_fields) for name, model in _TABLES.items()} | {
    "handlers.config.auth": tuple({**TokenAuth.model_fields, **JwtAuth.model_fields})
}


def load_directory(directory: Path) -> list[Manifest]:
    """Read every `*.toml` directly in `directory`, in the order of their names.

    Raises ManifestError with all problems of all files.
    """
    manifests, problems = read_directory(directory)
    if problems:
        raise ManifestError(problems)
    return manifests


def read_directory(directory: Path) -> tuple[list[Manifest], list[Problem]]:
    """Read every `*.toml` directly in `directory`; return what could be read, and all problems.

    The manifests returned beside problems are fine by themselves. Files whose name starts with a dot are left
    alone, as a shell's `*.toml` does.
    """
    try:
        files = sorted(file for file in directory.iterdir() if _is_manifest(file))
    except OSError as error:
        return [], [_directory_problem(directory, error)]
    if not files:
        return [], [Problem(str(directory), "", "has no manifest", "a manifest is a file named *.toml")]
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    claims: list[Claims] = []
    for file in files:
        table = _read_toml(file)
        if isinstance(table, Problem):
            problems.append(table)
            continue
        claims.append(_claims(file, table))
        try:
            manifests.append(Manifest.model_validate(table, context=file))
        except ValidationError as error:
            problems += (describe(str(file), _by_keys(details), _KEYS) for details in error.errors())
    problems += check_claims(claims)
    return manifests, sorted(problems, key=lambda problem: problem.file)


def read_limits(file: Path) -> tuple[str | None, Limits]:
    """Return the name and the limits in a manifest, whatever is in its other tables.

    Raises ManifestError.
    """
    table = _read_toml(file)
    if isinstance(table, Problem):
        raise ManifestError([table])
    try:
        return table.get("name"), Limits.model_validate(table.get("limits", {}))
    except ValidationError as error:
        details = [{**one, "loc": ("limits", *one["loc"])} for one in error.errors()]
        raise ManifestError(
            [describe(str(file), cast(ErrorDetails, one), _KEYS) for one in details]
        ) from error


def _is_manifest(file: Path) -> bool:
    return file.suffix.lower() == ".toml" and not file.name.startswith(".")


def _directory_problem(directory: Path, error: OSError) -> Problem:
    match error:
        case FileNotFoundError():
            return Problem(str(directory), "", "there is no such directory")
        case NotADirectoryError():
            hint = f"give the directory it is in: {directory.parent}" if directory.suffix == ".toml" else ""
            return Problem(str(directory), "", "is a file, not a directory of manifests", hint)
        case _:
            return Problem(str(directory), "", f"can't be read: {error.strerror}")


def _read_toml(file: Path) -> dict[str, Any] | Problem:
    if why := why_unreadable(file):
        return Problem(str(file), "", why)
    text = read_regular(file)
    try:
        return tomllib.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        return Problem(str(file), f"line {line}", "is not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        position = _TOML_POSITION.search(str(error))
        where = position[1] if position else f"line {len(text.splitlines())}"
        return Problem(str(file), where, f"is not TOML: {str(error).partition(' (at ')[0]}")
    except RecursionError:
        return Problem(str(file), "", "is nested too deeply")
    except ValueError:  # int() refuses thousands of digits
        return Problem(str(file), "", "has a number that is too long")


def _by_keys(details: ErrorDetails) -> ErrorDetails:
    """Leave out of an error's place what is no key of the manifest."""
    details["loc"] = tuple(step for step in details["loc"] if step not in AUTH_TAGS)
    return details


def _claims(file: Path, table: dict[str, Any]) -> Claims:
    """Collect what rules between keys and files need, from the parts of a table that are right."""
    name, handlers, build = table.get("name"), table.get("handlers"), table.get("build")
    read = {
        f"handlers[{index}].config": _part(Handler, handler, file)
        for index, handler in enumerate(handlers if isinstance(handlers, list) else [])
    }
    recipe = _part(Build, build, file)
    return Claims(
        file=str(file),
        name=name if isinstance(name, str) else None,
        endpoints=tuple(_endpoint(file, key, handler.config) for key, handler in read.items() if handler),
        component=_path(table.get("component_path"), file),
        init_state=_path(table.get("init_state"), file),
        has_build=build is not None,
        source=(recipe.python, recipe.world) if recipe else None,
    )


def _endpoint(file: Path, key: str, config: WebSocketConfig) -> Endpoint:
    return Endpoint(
        str(file),
        key,
        config.host,
        config.port,
        config.path,
        says_who_may=config.is_loopback or config.auth is not None,
        tls=(config.tls.cert, config.tls.key) if config.tls else None,
    )


def _part(model: type[_Model], value: object, file: Path) -> _Model | None:
    try:
        return model.model_validate(value, context=file)
    except ValidationError:
        return None


def _path(value: object, file: Path) -> Path | None:
    return file.parent / value if isinstance(value, str) and value and "\0" not in value else None
