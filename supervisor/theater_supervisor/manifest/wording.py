"""The sentences for what a manifest's models refuse: from pydantic's error details to a Problem.

Pure. It knows no model; the keys of each table are handed in.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from difflib import get_close_matches
from typing import Final

from pydantic_core import ErrorDetails

from theater_supervisor.errors import Problem

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_CHARACTERS: Final = 40


def describe(file: str, error: ErrorDetails, keys: Mapping[str, Sequence[str]]) -> Problem:
    """Turn one of pydantic's errors into a Problem.

    `keys` has the known keys of each table, by the table's dotted name without indexes ("" for the top). The
    models' own ValueErrors have two arguments: what the value is or is not, and a hint.
    """
    what, hint = _sentence(error, keys)
    return Problem(file, key_path(error["loc"]), what, hint)


def key_path(loc: Sequence[int | str]) -> str:
    """Write a place in a manifest as `handlers[0].config.port`; keys that TOML must quote are quoted."""
    path = ""
    for step in loc:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += ("." if path else "") + (step if _BARE_KEY.fullmatch(step) else json.dumps(step))
    return path


def _sentence(error: ErrorDetails, keys: Mapping[str, Sequence[str]]) -> tuple[str, str]:
    context, value = error.get("ctx", {}), shown(error["input"])
    match error["type"]:
        case "missing":
            return "is required", ""
        case "extra_forbidden":
            return "unknown key", _unknown_key_hint(error["loc"], keys)
        case "int_type":
            return f"must be an integer, not {value}", ""
        case "float_type" | "finite_number":
            return f"must be a number, not {value}", ""
        case "string_type" | "path_type" | "is_instance_of":
            return f"must be text, not {value}", ""
        case "model_type" | "dict_type":
            return f"must be a table, not {value}", ""
        case "tuple_type":
            return f"must be an array of tables, not {value}", f"write [[{key_path(error['loc'])}]]"
        case "literal_error":
            return f"must be {_quoted(context['expected'])}, not {value}", ""
        case "greater_than":
            return f"must be more than {context['gt']:g}, not {value}", ""
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {value}", ""
        case "less_than_equal":
            return f"must be at most {context['le']:.10g}, not {value}", ""
        case "value_error":
            what, hint = context["error"].args
            return f"{value.removeprefix('the text ')} {what}", hint
        case _:
            return f"{error['msg']}, not {value}", ""


def _unknown_key_hint(loc: Sequence[int | str], keys: Mapping[str, Sequence[str]]) -> str:
    *path, key = (step for step in loc if isinstance(step, str))
    table = ".".join(path)
    if near := get_close_matches(key, keys[table], n=1):
        return f'did you mean "{near[0]}"?'
    homes = [name for name, known in keys.items() if name and key in known]
    if homes:
        return f"it belongs in {' or '.join(homes)}"
    return f"known here: {', '.join(keys[table])}"


def _quoted(expected: str) -> str:
    return expected.replace("'", '"')


def shown(value: object) -> str:
    """Show a TOML value in a sentence, shortened, with control characters escaped."""
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"{value:.10g}" if isinstance(value, float) else _cut(str(value))
        case str():
            return f"the text {_cut(json.dumps(value))}"
        case list():
            return "an array"
        case dict():
            return "a table"
        case datetime() | date() | time():
            return f"the date or time {value.isoformat()}"
        case _:
            return type(value).__name__


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
