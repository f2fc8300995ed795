"""Values of a component's types, in both directions between wasmtime-py's form and a plain one.

Plain: a record is a dict, a variant `(case, payload)`, an option the value or None, bytes for list<u8>.
wasmtime-py leaves a variant's tag out where the payloads' Python types tell the cases apart.
"""

from typing import Any

from wasmtime.component import Record as WasmtimeRecord
from wasmtime.component import Variant as WasmtimeVariant

from theater_worker.interface2.model import DEFAULTS
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

Plain = Any


class Undeliverable(Exception):
    """The component has no case for this; it is not told of it."""


def lower(ty: Type, value: Plain) -> Any:  # noqa: ANN401 - wasmtime-py's values
    """Turn a plain value into wasmtime-py's form. Raises Undeliverable for a case that the type lacks."""
    match ty:
        case Scalar() | Text() | Octets():
            return value
        case List(element):
            return [lower(element, one) for one in value]
        case Tuple(elements):
            return tuple(lower(element, one) for element, one in zip(elements, value, strict=True))
        case Record(fields):
            record = WasmtimeRecord()
            for name, field in fields:
                setattr(record, name, lower(field, value.get(name)))
            return record
        case Enum(names):
            if value not in names:
                raise Undeliverable(value)
            return value
        case Option(payload, tagged):
            if value is None:
                return WasmtimeVariant("none") if tagged else None
            lowered = lower(payload, value)
            return WasmtimeVariant("some", lowered) if tagged else lowered
        case Variant(cases, tagged):
            return _lower_case(dict(cases), value, tagged=tagged)
        case Result(ok, err, tagged):
            return _lower_case({"ok": ok, "err": err}, value, tagged=tagged)


def _lower_case(cases: dict[str, Type | None], value: tuple[str, Plain], *, tagged: bool) -> Any:  # noqa: ANN401
    case, payload = value
    if case not in cases:
        raise Undeliverable(case)
    of = cases[case]
    lowered = None if of is None else lower(of, payload)
    return WasmtimeVariant(case, lowered) if tagged else lowered


def lift(ty: Type, value: Any) -> Plain:  # noqa: ANN401 - wasmtime-py's values
    """Turn a value in wasmtime-py's form into a plain one; what a record lacks gets its default."""
    match ty:
        case Scalar() | Text() | Octets() | Enum():
            return value
        case List(element):
            return [lift(element, one) for one in value]
        case Tuple(elements):
            return tuple(lift(element, one) for element, one in zip(elements, value, strict=True))
        case Record(fields):
            return DEFAULTS | {name: lift(field, getattr(value, name)) for name, field in fields}
        case Option(payload, tagged):
            if tagged:
                return None if value.tag == "none" else lift(payload, value.payload)
            return None if value is None else lift(payload, value)
        case Variant(cases, tagged):
            return _lift_case(dict(cases), value, tagged=tagged)
        case Result(ok, err, tagged):
            return _lift_case({"ok": ok, "err": err}, value, tagged=tagged)


def _lift_case(cases: dict[str, Type | None], value: Any, *, tagged: bool) -> tuple[str, Plain]:  # noqa: ANN401
    case = value.tag if tagged else next(name for name, of in cases.items() if _is_of(of, value))
    of, payload = cases[case], value.payload if tagged else value
    return case, None if of is None else lift(of, payload)


def _is_of(ty: Type | None, value: Any) -> bool:  # noqa: ANN401 - wasmtime-py's values
    """Tell whether an untagged case's value is of this type; no two cases have the same Python type."""
    match ty:
        case None:
            return value is None
        case Scalar("bool"):
            return type(value) is bool
        case Scalar():
            return type(value) in (int, float)
        case Text() | Enum():
            return type(value) is str
        case Octets():
            return type(value) is bytes
        case List():
            return type(value) is list
        case Tuple():
            return type(value) is tuple
        case Record():
            return isinstance(value, WasmtimeRecord)
        case Option(payload, tagged):
            return isinstance(value, WasmtimeVariant) if tagged else value is None or _is_of(payload, value)
        case Variant(cases, tagged):
            return isinstance(value, WasmtimeVariant) if tagged else any(_is_of(of, value) for _, of in cases)
        case Result(ok, err, tagged):
            return isinstance(value, WasmtimeVariant) if tagged else _is_of(ok, value) or _is_of(err, value)
