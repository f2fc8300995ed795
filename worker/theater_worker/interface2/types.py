"""Component types as plain values, read once: asking wasmtime-py for them costs 10 µs each.

What a type must be is model.py's, whether one fits fit.py's, values of them are values.py's.
"""

from dataclasses import dataclass, field
from typing import Any

from wasmtime import component as wit


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number or a boolean, by its WIT name; also whatever is of no use here, such as a resource."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """string."""


@dataclass(frozen=True, slots=True)
class Octets:
    """list<u8>."""


@dataclass(frozen=True, slots=True)
class List:
    """A list of anything else."""

    element: "Type"


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields, in their order."""

    fields: tuple[tuple[str, "Type"], ...]


@dataclass(frozen=True, slots=True)
class Tuple:
    """Fields without names."""

    elements: tuple["Type", ...]


@dataclass(frozen=True, slots=True)
class Enum:
    """Named cases without payloads."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """Named cases. `tagged`: wasmtime-py tells them apart by a tag, not by the payload's Python type."""

    cases: tuple[tuple[str, "Type | None"], ...]
    tagged: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Option:
    """A value or none."""

    payload: "Type"
    tagged: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Result:
    """ok or err."""

    ok: "Type | None"
    err: "Type | None"
    tagged: bool = field(default=False, compare=False)


Type = Scalar | Text | Octets | List | Record | Tuple | Enum | Variant | Option | Result


def read_type(ty: Any) -> Type:  # noqa: ANN401 - wasmtime's ValType has no useful base
    """Read a type of wasmtime-py's, all the way down."""
    match ty:
        case wit.String():
            return Text()
        case wit.ListType():
            element = ty.element
            return Octets() if isinstance(element, wit.U8) else List(read_type(element))
        case wit.RecordType():
            return Record(tuple((name, read_type(one)) for name, one in ty.fields))
        case wit.TupleType():
            return Tuple(tuple(map(read_type, ty.elements)))
        case wit.EnumType():
            return Enum(tuple(ty.names))
        case wit.VariantType():
            cases = tuple((name, _read_optional(one)) for name, one in ty.cases)
            return Variant(cases, tagged=ty._tagged())
        case wit.OptionType():
            return Option(read_type(ty.payload), tagged=ty._tagged())
        case wit.ResultType():
            return Result(_read_optional(ty.ok), _read_optional(ty.err), tagged=ty._tagged())
        case _:
            return Scalar(type(ty).__name__.removesuffix("Type").lower())


def _read_optional(ty: Any) -> Type | None:  # noqa: ANN401 - as read_type's
    return None if ty is None else read_type(ty)


def describe(ty: Type | None) -> str:
    """Write a type as WIT does."""
    match ty:
        case None:
            return "_"
        case Scalar(name):
            return name
        case Text():
            return "string"
        case Octets():
            return "list<u8>"
        case List(element):
            return f"list<{describe(element)}>"
        case Record(fields):
            return f"record {{{', '.join(f'{name}: {describe(one)}' for name, one in fields)}}}"
        case Tuple(elements):
            return f"tuple<{', '.join(map(describe, elements))}>"
        case Enum(names):
            return f"enum {{{', '.join(names)}}}"
        case Variant(cases):
            return f"variant {{{', '.join(name for name, _ in cases)}}}"
        case Option(payload):
            return f"option<{describe(payload)}>"
        case Result(ok, err):
            return f"result<{describe(ok)}, {describe(err)}>"
