"""The types of wit/v2/theater.wit, as what a component's own are held against.

Values only. A component's may be smaller, its cases and fields in another order: how much, fit.py says.
"""

from typing import Final

from theater_worker.interface2.types import (
    Enum,
    List,
    Octets,
    Option,
    Record,
    Result,
    Scalar,
    Text,
    Tuple,
    Type,
    Variant,
)

HANDLER: Final = "ntwk:theater/handler"
HANDLE: Final = "handle"
VIEW: Final = "ntwk:theater/view"
LOG: Final = "ntwk:theater/log"

_TEXT, _U64, _U32, _U16, _BOOL = Text(), Scalar("u64"), Scalar("u32"), Scalar("u16"), Scalar("bool")
_PAIRS: Final = List(Tuple((_TEXT, _TEXT)))
_FRAME: Final = Variant((("text", _TEXT), ("binary", Octets())))
_IDENTITY: Final = Record((("subject", _TEXT), ("claims", _TEXT)))
_HANDSHAKE: Final = Record(
    (
        ("path", _TEXT),
        ("query", Option(_TEXT)),
        ("headers", _PAIRS),
        ("subprotocols", List(_TEXT)),
        ("identity", Option(_IDENTITY)),
        ("remote", Option(_TEXT)),
    )
)
_ENDING: Final = Record(
    (("code", _U16), ("reason", _TEXT), ("clean", _BOOL), ("by", Enum(("client", "actor", "host"))))
)
_CONFIGURATION: Final = Record((("actor", _TEXT), ("key", Option(_TEXT)), ("config", _PAIRS)))
_TARGET: Final = Variant(
    (("connection", _U64), ("connections", List(_U64)), ("room", _TEXT), ("everyone", None))
)
_OUTGOING: Final = Record((("to", _TARGET), ("without", List(_U64)), ("frame", _FRAME), ("volatile", _BOOL)))

EVENT: Final = Variant(
    (
        ("configure", _CONFIGURATION),
        ("connect", Tuple((_U64, _HANDSHAKE))),
        ("message", Tuple((_U64, _TEXT, _FRAME))),
        ("disconnect", Tuple((_U64, _TEXT, _ENDING))),
        ("timer", Tuple((_TEXT, _U64))),
    )
)
EFFECT: Final = Variant(
    (
        ("accept", Record((("subprotocol", Option(_TEXT)),))),
        ("refuse", Record((("status", _U16), ("body", _TEXT)))),
        ("send", _OUTGOING),
        ("close", Tuple((_TARGET, _U16, _TEXT))),
        ("join", Tuple((_U64, _TEXT))),
        ("leave", Tuple((_U64, _TEXT))),
        ("attach", Tuple((_U64, _TEXT))),
        ("set-timer", Record((("name", _TEXT), ("at", _U64), ("every", Option(_U64))))),
        ("cancel-timer", _TEXT),
    )
)
UPDATE: Final = Variant((("keep", None), ("replace", Octets())))

# handle(now, state, event) -> result<tuple<update, list<effect>>, string>
PARAMETERS: Final = (_U64, Option(Octets()), EVENT)
RESULT: Final = Result(Tuple((UPDATE, List(EFFECT))), _TEXT)

# What a returned record may leave out, and what that stands for.
DEFAULTS: Final[dict[str, object]] = {
    "subprotocol": None,
    "body": "",
    "without": [],
    "volatile": False,
    "every": None,
}

# What an actor may import: name, parameters, result.
_MEMBER: Final = Tuple((_U64, _TEXT))
VIEW_FUNCTIONS: Final[dict[str, tuple[tuple[Type, ...], Type | None]]] = {
    "members": ((Option(_TEXT), _U64, _U32), List(_MEMBER)),
    "count": ((Option(_TEXT),), _U32),
    "rooms-of": ((_U64,), List(_TEXT)),
    "rooms": ((_TEXT, _U32), List(Tuple((_TEXT, _U32)))),
    "timer": ((_TEXT,), Option(_U64)),
}
LOG_FUNCTIONS: Final[dict[str, tuple[tuple[Type, ...], Type | None]]] = {
    "log": ((Enum(("debug", "info", "warning", "error")), _TEXT), None),
}
