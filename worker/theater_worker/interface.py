"""What a component must export and may import, checked by name against its own types.

Pure reading of types: nothing is instantiated here. The interface is theater.wit's; the older spelling of
message-type as a variant, and other orders of fields and cases, pass as well, because everything is resolved
by name. Each problem is one line that names what does not fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wasmtime import Engine
from wasmtime.component import (
    Component,
    ComponentInstanceType,
    EnumType,
    FuncType,
    ListType,
    OptionType,
    RecordType,
    ResultType,
    TupleType,
    ValType,
    VariantType,
)

SERVER: Final = "ntwk:theater/websocket-server"
HANDLE_MESSAGE: Final = "handle-message"
ACTOR: Final = "ntwk:theater/actor"
INIT: Final = "init"
RUNTIME: Final = "ntwk:theater/runtime"

_STATE: Final = "option<list<u8>>"
_MESSAGE: Final = "websocket-message"
_RESPONSE: Final = f"record {{messages: list<{_MESSAGE}>}}"
_HANDLE_MESSAGE_TYPE: Final = (
    f"func({_STATE}, tuple<{_MESSAGE}>) -> result<tuple<{_STATE}, tuple<{_RESPONSE}>>, string>"
)
_INIT_TYPE: Final = f"func({_STATE}, tuple<string>) -> result<tuple<{_STATE}>, string>"
_LOG_TYPE: Final = "func(string)"
_CASES: Final = frozenset({"text", "binary", "ping", "pong", "close", "connect"})
_PROVIDED: Final = f"only wasi:* and {RUNTIME} with log are"


@dataclass(frozen=True, slots=True)
class Interface:
    """What a component turned out to be.

    `server` and `actor` are its exact export names, version included; `actor` is None without an init.
    `message` is its websocket-message, if handle-message fits. With `problems` the component must not be run.
    """

    server: str
    actor: str | None
    message: RecordType | None
    imports: list[str]
    problems: list[str]

    @property
    def is_variant(self) -> bool:
        """Whether message-type is the older variant."""
        return self.message is not None and isinstance(dict(self.message.fields)["ty"], VariantType)


def read_interface(component: Component, engine: Engine) -> Interface:
    """Read a component's exports and imports and find everything that does not fit, at once."""
    exports = {_unversioned(name): (name, item.ty) for name, item in component.type.exports(engine).items()}
    imports = {name: item.ty for name, item in component.type.imports(engine).items()}
    problems: list[str] = []
    server, handle = _exported(exports, SERVER, HANDLE_MESSAGE, engine)
    if server is None:
        listed = ", ".join(sorted(exports)) or "nothing"
        problems.append(f"does not export {SERVER} (it exports {listed})")
    else:
        problems += _type_problems("export", f"{SERVER} {HANDLE_MESSAGE}", handle, _HANDLE_MESSAGE_TYPE)
    actor, init = _exported(exports, ACTOR, INIT, engine)
    if actor is not None:
        problems += _type_problems("export", f"{ACTOR} {INIT}", init, _INIT_TYPE)
    for name, item in sorted(imports.items()):
        problems += _import_problems(name, item, engine)
    return Interface(server or SERVER, actor, _message(handle), list(imports), problems)


def _unversioned(name: str) -> str:
    return name.partition("@")[0]


def _exported(
    exports: Mapping[str, tuple[str, object]], interface: str, function: str, engine: Engine
) -> tuple[str | None, object]:
    """Find an exported interface's exact name and what it has under `function` (None without)."""
    name, item = exports.get(interface, (None, None))
    if not isinstance(item, ComponentInstanceType):
        return None, None
    member = item.exports(engine).get(function)
    return name, member.ty if member else None


def _type_problems(verb: str, name: str, item: object, expected: str) -> list[str]:
    if not isinstance(item, FuncType):
        return [f"does not {verb} the function {name}"]
    found = _describe_function(item)
    return [] if found == expected else [f"{verb}s {name} as {found} instead of {expected}"]


def _import_problems(name: str, item: object, engine: Engine) -> list[str]:
    interface = _unversioned(name)
    if interface.startswith("wasi:"):
        return []
    if not isinstance(item, ComponentInstanceType):
        return [f"imports {name}, which is not provided ({_PROVIDED})"]
    # An interface of types alone needs nobody to provide it.
    members = {key: member.ty for key, member in item.exports(engine).items()}
    needed = {key: member for key, member in members.items() if not isinstance(member, ValType)}
    problems: list[str] = []
    if interface == RUNTIME and "log" in needed:
        problems = _type_problems("import", f"{RUNTIME} log", needed.pop("log"), _LOG_TYPE)
    functions = ", ".join(sorted(needed))
    return problems + ([f"imports {name} {functions}, which is not provided ({_PROVIDED})"] if needed else [])


def _describe_function(function: FuncType) -> str:
    params = ", ".join(_describe(ty) for _, ty in function.params)
    result = function.result
    return f"func({params})" + (f" -> {_describe(result)}" if result else "")


def _describe(ty: ValType | None) -> str:
    """Write a type as WIT does, but a record that is a websocket-message by its short name."""
    match ty:
        case None:
            return "_"
        case ListType():
            return f"list<{_describe(ty.element)}>"
        case OptionType():
            return f"option<{_describe(ty.payload)}>"
        case TupleType():
            return f"tuple<{', '.join(_describe(element) for element in ty.elements)}>"
        case ResultType():
            return f"result<{_describe(ty.ok)}, {_describe(ty.err)}>"
        case EnumType():
            return f"enum {{{', '.join(ty.names)}}}"
        case VariantType():
            return f"variant {{{', '.join(_describe_case(*case) for case in ty.cases)}}}"
        case RecordType():
            return _describe_record(dict(ty.fields))
        case _:
            return type(ty).__name__.removesuffix("Type").lower()


def _describe_case(name: str, payload: ValType | None) -> str:
    return f"{name}({_describe(payload)})" if payload else name


def _describe_record(fields: dict[str, ValType]) -> str:
    described = {name: _describe(ty) for name, ty in fields.items()}
    rest = {name: text for name, text in described.items() if name != "ty"}
    if rest == {"text": "option<string>", "data": _STATE} and _has_cases(fields.get("ty")):
        return _MESSAGE
    return f"record {{{', '.join(f'{name}: {text}' for name, text in described.items())}}}"


def _has_cases(ty: ValType | None) -> bool:
    match ty:
        case EnumType():
            return set(ty.names) >= _CASES
        case VariantType():
            return {name for name, payload in ty.cases if payload is None} >= _CASES
        case _:
            return False


def _message(handle: object) -> RecordType | None:
    """Take the websocket-message out of a handle-message that fits."""
    if not isinstance(handle, FuncType) or _describe_function(handle) != _HANDLE_MESSAGE_TYPE:
        return None
    _, params = handle.params[1]
    message = params.elements[0] if isinstance(params, TupleType) else None
    return message if isinstance(message, RecordType) else None
