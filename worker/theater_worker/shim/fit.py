"""Compiling a component with the shim in it, or without where the shim does not fit.

Types are only known once a component is compiled, and that can take seconds. So the spellings in circulation
are tried first: one with another number of parameters is refused at once, and what was compiled tells whether
it was the right one.
"""

from wasmtime import Engine, WasmtimeError
from wasmtime.component import Component

from theater_worker.interface import SERVER, read_interface
from theater_worker.shim.binary import Unsupported
from theater_worker.shim.inject import inject
from theater_worker.shim.layout import ENUM, VARIANT, Layout, layout_of


def compile_with_shim(wasm: bytes, engine: Engine) -> tuple[Component, str | None]:
    """Compile a component with the shim if possible; without it, say why not.

    Raises WasmtimeError when it does not compile either way.
    """
    try:
        for layout in (ENUM, VARIANT):
            component = _compile(inject(wasm, SERVER, layout), engine)
            if component and _layout(component, engine) == layout:
                return component, None
    except Unsupported as exc:
        return Component(engine, wasm), str(exc)
    plain = Component(engine, wasm)
    try:
        component = _compile(inject(wasm, SERVER, _layout(plain, engine)), engine)
    except Unsupported as exc:
        return plain, str(exc)
    return (component, None) if component else (plain, "it does not compile with the shim in it")


def _compile(wasm: bytes, engine: Engine) -> Component | None:
    try:
        return Component(engine, wasm)
    except WasmtimeError:
        return None


def _layout(component: Component, engine: Engine) -> Layout:
    message = read_interface(component, engine).message
    if message is None:
        raise Unsupported("its handle-message has another type")
    return layout_of(message)
