"""How a component spells websocket-message, and the small module that tells the shim.

Fields and cases are matched by name, so their order is free, and the older message-type may be a variant
with strings in its other cases. A Layout holds what this decides in the canonical ABI: the order of
handle-message's core parameters and where things lie in memory. Source: the Component Model's
CanonicalABI.md, flattening and alignment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wasmtime.component import EnumType, RecordType, String, VariantType

from theater_worker.shim.binary import Unsupported

_MAX_KINDS: Final = 32  # `payloads` is one word
_OPTION_BYTES: Final = 12  # a discriminant, an address and a size
_WORD_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields `ty`, `text` and `data` and the cases of `ty`, in their order; the cases with a string."""

    fields: tuple[str, ...]
    kinds: tuple[str, ...]
    payloads: frozenset[int] = frozenset()


# The two spellings in circulation; tests/components/wit has the older one.
ENUM: Final = Layout(("ty", "text", "data"), ("text", "binary", "ping", "pong", "close", "connect"))
VARIANT: Final = Layout(
    ("ty", "data", "text"),
    ("text", "binary", "connect", "close", "ping", "pong", "other"),
    frozenset({6}),
)


def layout_of(message: RecordType) -> Layout:
    """Read the layout of a component's own websocket-message. Raises Unsupported."""
    fields = dict(message.fields)
    match fields["ty"]:
        case EnumType() as enum:
            kinds, payloads = tuple(enum.names), frozenset[int]()
        case VariantType() as variant:
            cases = list(variant.cases)
            kinds = tuple(name for name, _ in cases)
            payloads = frozenset(index for index, (_, payload) in enumerate(cases) if payload is not None)
            if not all(isinstance(cases[index][1], String) for index in payloads):
                raise Unsupported("a case of its message-type carries something else than a string")
        case other:
            raise Unsupported(f"its message-type is a {type(other).__name__}")
    if len(kinds) > _MAX_KINDS:
        raise Unsupported(f"its message-type has {len(kinds)} cases, more than {_MAX_KINDS}")
    return Layout(tuple(fields), kinds, payloads)


def to_wat(layout: Layout) -> str:
    """Write the module `message` that the shim imports (core.c): handle-message, and constants."""
    parameters = {
        "ty": ["$kind", *["(i32.const 0)"] * (2 if layout.payloads else 0)],
        "text": ["$has-text", "$text", "$text-size"],
        "data": ["$has-data", "$data", "$data-size"],
    }
    arguments = ["$has-state", "$state", "$state-size"]
    arguments += [argument for field in layout.fields for argument in parameters[field]]
    passed = " ".join(argument if "(" in argument else f"(local.get {argument})" for argument in arguments)
    constants = "".join(
        f'(func (export "{name}") (result i32) (i32.const {value}))'
        for name, value in _constants(layout).items()
    )
    return f"""(module
      (import "actor" "handle" (func $handle (param {"i32 " * len(arguments)}) (result i32)))
      (func (export "handle") (param $has-state i32) (param $state i32) (param $state-size i32)
        (param $kind i32) (param $has-text i32) (param $text i32) (param $text-size i32)
        (param $has-data i32) (param $data i32) (param $data-size i32) (result i32)
        (call $handle {passed}))
      {constants})"""


def _constants(layout: Layout) -> Mapping[str, int]:
    offsets: dict[str, int] = {}
    end = 0
    for field in layout.fields:
        is_byte = field == "ty" and not layout.payloads
        offsets[f"{field}-at"] = end if is_byte else _aligned(end)
        end = offsets[f"{field}-at"] + (1 if is_byte else _OPTION_BYTES)
    return {
        "size": _aligned(end),
        "kind-at": offsets["ty-at"],
        "text-at": offsets["text-at"],
        "data-at": offsets["data-at"],
        "kinds": len(layout.kinds),
        "payloads": sum(1 << index for index in layout.payloads),
    }


def _aligned(offset: int) -> int:
    return -(-offset // _WORD_BYTES) * _WORD_BYTES
