"""Appending the shim to a component's binary.

A component is a list of sections, and definitions may be appended to it: three core modules (memory.wat,
layout.py's, core.wat), instances that tie them to the actor's own functions and memory, and one exported
function. Nothing that was there is touched. Tools are not needed, only the binary format.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wasmtime import wat2wasm

from theater_worker.shim.binary import CORE_SORTS, SORTS, name, section, type_index, u32, vector
from theater_worker.shim.layout import Layout, to_wat
from theater_worker.shim.naming import export_name
from theater_worker.shim.scan import Found, find_lift

_HERE: Final = Path(__file__).parent
_CODES: Final = {sort: bytes([0, code]) for code, sort in CORE_SORTS.items()} | {
    sort: bytes([code]) for code, sort in SORTS.items()
}
_MODULE, _CORE_INSTANCES, _ALIASES, _TYPES, _CANON, _EXPORTS = 1, 2, 6, 7, 8, 11
_U32, _STRING, _TUPLE, _FUNCTION = b"\x79", b"\x73", b"\x6f", b"\x40"
_UTF8, _MEMORY, _REALLOC = b"\x00", b"\x03", b"\x04"


def inject(component: bytes, interface: str, layout: Layout) -> bytes:
    """Append the shim for the only function of the exported `interface`, whose message has `layout`.

    A layout that is not the component's own may or may not give a valid component. Raises Unsupported.
    """
    found = find_lift(component, interface)
    return component + _Appendix(found).sections(layout)


class _Appendix:
    """Sections that follow a component; every definition gets the next index of its sort."""

    def __init__(self, found: Found) -> None:
        self._lift = found.lift
        self._next = dict(found.next_index)
        self._written: list[bytes] = []

    def sections(self, layout: Layout) -> bytes:
        """Write all of it."""
        actor_memory = self._instance({"memory": ("core memory", self._lift.memory)})
        memory = self._instantiate(_assembled("memory.wat"), {"actor": actor_memory})
        own_memory = self._alias("core memory", memory, "memory")
        handle = self._instance({"handle": ("core function", self._lift.core_function)})
        message = self._instantiate(bytes(wat2wasm(to_wat(layout))), {"actor": handle})
        release = self._lift.post_return
        if release is None:
            release = self._alias("core function", memory, "release")
        realloc = ("core function", self._lift.realloc)
        actor = self._instance({"realloc": realloc, "release": ("core function", release)})
        environment = self._instance({"memory": ("core memory", own_memory)})
        imports = {"actor": actor, "memory": memory, "message": message, "env": environment}
        core = self._instantiate(_assembled("core.wat"), imports)
        self._export_call(core, own_memory)
        return b"".join(self._written)

    def _export_call(self, core: int, memory: int) -> None:
        call = self._alias("core function", core, "call")
        realloc = self._alias("core function", core, "cabi_realloc")
        pair = self._define("type", _TYPES, _TUPLE + vector([_STRING, _STRING]))
        types = {"flags": _U32, "state": _STRING, "text": _STRING, "data": _STRING}
        parameters = vector(name(key) + value_type for key, value_type in types.items())
        function_type = self._define("type", _TYPES, _FUNCTION + parameters + b"\x00" + type_index(pair))
        options = vector([_UTF8, _MEMORY + u32(memory), _REALLOC + u32(realloc)])
        lift = b"\x00\x00" + u32(call) + options + u32(function_type)
        function = self._define("function", _CANON, lift)
        # An external name, what it is, and no type of its own.
        export = b"\x00" + name(export_name()) + _CODES["function"] + u32(function) + b"\x00"
        self._define("function", _EXPORTS, export)

    def _define(self, sort: str, section_id: int, definition: bytes) -> int:
        """Write a section of one definition and return its index."""
        self._written.append(section(section_id, vector([definition])))
        return self._next_index(sort)

    def _instance(self, exports: Mapping[str, tuple[str, int]]) -> int:
        """Bundle definitions into a core instance."""
        items = (name(key) + _CODES[sort][1:] + u32(index) for key, (sort, index) in exports.items())
        return self._define("core instance", _CORE_INSTANCES, b"\x01" + vector(items))

    def _instantiate(self, module: bytes, imports: Mapping[str, int]) -> int:
        self._written.append(section(_MODULE, module))
        index = self._next_index("core module")
        items = (name(key) + _CODES["core instance"][1:] + u32(instance) for key, instance in imports.items())
        return self._define("core instance", _CORE_INSTANCES, b"\x00" + u32(index) + vector(items))

    def _alias(self, sort: str, instance: int, export: str) -> int:
        """Take an export of a core instance."""
        return self._define(sort, _ALIASES, _CODES[sort] + b"\x01" + u32(instance) + name(export))

    def _next_index(self, sort: str) -> int:
        index = self._next.get(sort, 0)
        self._next[sort] = index + 1
        return index


def _assembled(source: str) -> bytes:
    return bytes(wat2wasm((_HERE / source).read_text()))
