"""What a component of interface 2 exports and imports, found by name and held against the interface.

Pure reading of types: nothing is instantiated here. Each problem is one line that names what does not fit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wasmtime import Engine
from wasmtime.component import Component, ComponentInstanceType, FuncType, ValType

from theater_worker.interface2.fit import misfits
from theater_worker.interface2.model import (
    HANDLE,
    HANDLER,
    LOG,
    LOG_FUNCTIONS,
    PARAMETERS,
    RESULT,
    VIEW,
    VIEW_FUNCTIONS,
)
from theater_worker.interface2.types import Tuple, Type, describe, read_type

_MAJOR = "2"
Functions = Mapping[str, tuple[tuple[Type, ...], Type | None]]
_PROVIDED: Mapping[str, Functions] = {VIEW: VIEW_FUNCTIONS, LOG: LOG_FUNCTIONS}


@dataclass(frozen=True, slots=True)
class Binding:
    """A component's handler: its exact name, the types of its parameters and of its result, its imports.

    With `problems` it must not be run; the types are then of no use.
    """

    handler: str
    parameters: tuple[Type, ...]
    result: Type | None
    imports: tuple[str, ...]
    problems: tuple[str, ...]


def read_binding(component: Component, engine: Engine) -> Binding | None:
    """Read how a component exports interface 2; None when it does not."""
    exports = component.type.exports(engine)
    name = next((name for name in exports if is_version_2(name, HANDLER)), None)
    if name is None:
        return None
    handler = exports[name].ty
    handle = handler.exports(engine).get(HANDLE) if isinstance(handler, ComponentInstanceType) else None
    imports = {name: item.ty for name, item in component.type.imports(engine).items()}
    problems = [
        problem for one, ty in sorted(imports.items()) for problem in _import_problems(one, ty, engine)
    ]
    if handle is None or not isinstance(handle.ty, FuncType):
        return Binding(name, (), None, tuple(imports), (f"does not export {name} {HANDLE}", *problems))
    parameters = tuple(read_type(one) for _, one in handle.ty.params)
    result = read_type(handle.ty.result) if handle.ty.result else None
    wrong = [
        *misfits(Tuple(parameters), Tuple(PARAMETERS), f"exports {name} {HANDLE}: it takes", incoming=True),
        *misfits(result, RESULT, f"exports {name} {HANDLE}: it returns", incoming=False),
    ]
    return Binding(name, parameters, result, tuple(imports), (*wrong, *problems))


def is_version_2(name: str, interface: str) -> bool:
    """Tell whether an exact name is this interface in any version 2.x."""
    found, _, version = name.partition("@")
    return found == interface and version.partition(".")[0] == _MAJOR


def _import_problems(name: str, ty: object, engine: Engine) -> Iterator[str]:
    if name.startswith("wasi:") or not isinstance(ty, ComponentInstanceType):
        if not name.startswith("wasi:"):
            yield f"imports {name}, which is not provided"
        return
    # An interface of types alone needs nobody to provide it.
    needed = {key: one.ty for key, one in ty.exports(engine).items() if not isinstance(one.ty, ValType)}
    provided: Functions = next((has for one, has in _PROVIDED.items() if is_version_2(name, one)), {})
    for key, function in needed.items():
        yield from _function_problems(f"imports {name} {key}", function, provided, key)


def _function_problems(where: str, function: object, provided: Functions, key: str) -> Iterator[str]:
    if key not in provided or not isinstance(function, FuncType):
        yield f"{where}, which is not provided"
        return
    expected = provided[key]
    found = (
        tuple(read_type(one) for _, one in function.params),
        read_type(function.result) if function.result else None,
    )
    if found != expected:
        yield f"{where} as {_signature(*found)} instead of {_signature(*expected)}"


def _signature(parameters: tuple[Type, ...], result: Type | None) -> str:
    taken = ", ".join(map(describe, parameters))
    return f"func({taken})" + (f" -> {describe(result)}" if result else "")
