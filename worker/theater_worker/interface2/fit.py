"""Whether a component's own types fit the interface: what may be missing, what may not be different.

Into the actor go events: cases and fields that it lacks are left out, a field that the host lacks must be an
option. Out of it come effects: it may have fewer, and none that the host does not know. Pure.
"""

from collections.abc import Iterator

from theater_worker.interface2.model import DEFAULTS
from theater_worker.interface2.types import Enum, List, Option, Record, Result, Tuple, Type, Variant, describe


def misfits(found: Type | None, expected: Type | None, where: str, *, incoming: bool) -> Iterator[str]:
    """Yield what is wrong with a type, in words; `incoming` is the way into the actor."""
    match found, expected:
        case List(one), List(other):
            yield from misfits(one, other, where, incoming=incoming)
        case Option(one), Option(other):
            yield from misfits(one, other, where, incoming=incoming)
        case Tuple(ones), Tuple(others) if len(ones) == len(others):
            for mine, theirs in zip(ones, others, strict=True):
                yield from misfits(mine, theirs, where, incoming=incoming)
        case Result(ok, err), Result(expected_ok, expected_err):
            yield from misfits(ok, expected_ok, where, incoming=incoming)
            yield from misfits(err, expected_err, where, incoming=incoming)
        case Record(fields), Record(expected_fields):
            yield from _record_misfits(dict(fields), dict(expected_fields), where, incoming=incoming)
        case Variant(cases), Variant(expected_cases):
            yield from _variant_misfits(dict(cases), dict(expected_cases), where, incoming=incoming)
        case Enum(names), Enum(expected_names):
            if not incoming:
                yield from (f"{where} {name}: not known here" for name in names if name not in expected_names)
        case _ if found != expected:
            yield f"{where}: {describe(found)} instead of {describe(expected)}"


def _record_misfits(
    found: dict[str, Type], expected: dict[str, Type], where: str, *, incoming: bool
) -> Iterator[str]:
    for name, one in found.items():
        if name in expected:
            yield from misfits(one, expected[name], f"{where}.{name}", incoming=incoming)
        elif not incoming or not isinstance(one, Option):
            yield f"{where}.{name}: not known here"
    if not incoming:
        missing = (name for name in expected if name not in found and name not in DEFAULTS)
        yield from (f"{where}.{name}: missing" for name in missing)


def _variant_misfits(
    found: dict[str, Type | None], expected: dict[str, Type | None], where: str, *, incoming: bool
) -> Iterator[str]:
    for name, one in found.items():
        if name in expected:
            yield from misfits(one, expected[name], f"{where} {name}", incoming=incoming)
        elif not incoming:
            yield f"{where} {name}: not known here"
