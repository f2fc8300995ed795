"""Finding the core function behind handle-message: only where there can be no doubt about it."""

import pytest
import wasmtime

from tests.components import build
from theater_worker.shim.binary import Unsupported, name, section, vector
from theater_worker.shim.scan import find_lift

NAME = "ntwk:theater/websocket-server"
CODE = """
  (core module $code
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "first") (param i32 i32) (result i32) unreachable)
    (func (export "second") (param i32 i32) (result i32) unreachable))
  (core instance $code (instantiate $code))
  (alias core export $code "first" (core func $first))
  (alias core export $code "second" (core func $second))
  (alias core export $code "memory" (core memory $memory))
  (alias core export $code "realloc" (core func $realloc))
"""
PLAIN = '(param "text" string) (result string)'
LIFT = f"{PLAIN} (canon lift (core func $%s) (memory $memory) (realloc $realloc))"
FUNCTIONS = f"(func $one {LIFT % 'first'}) (func $two {LIFT % 'second'})"


def find(*parts: str, code: str = CODE) -> int:
    """Assemble a component and return the core function that is found."""
    return find_lift(
        bytes(wasmtime.wat2wasm(f"(component {code} {' '.join(parts)})")), NAME
    ).lift.core_function


@pytest.mark.parametrize("version", ["", "@0.1.0"])
def test_an_instance_of_functions_is_seen_through(version: str) -> None:
    """With two lifts of one type, the exported one is found, whatever the interface's version."""
    server = '(instance $server (export "handle-message" (func $%s)))'
    export = f'{server} (export "{NAME}{version}" (instance $server))'
    assert find(FUNCTIONS, export % "one") == 0
    assert find(FUNCTIONS, export % "two") == 1


def test_a_component_that_passes_its_function_on_is_seen_through() -> None:
    """The form that wit-component gives its exports."""
    assert (
        find(
            FUNCTIONS,
            f"""(component $pass (import "f" (func $f {PLAIN})) (export "handle-message" (func $f)))
            (instance $server (instantiate $pass (with "f" (func $two))))
            (export "{NAME}" (instance $server))""",
        )
        == 1
    )


def test_what_is_counted_is_where_the_next_definition_goes() -> None:
    """Every definition counts in its index space, also an export, which is a definition too."""
    plain = find_lift(build("echo").read_bytes(), NAME)
    assert plain.next_index["instance"] == 4
    assert plain.next_index["component"] == 1
    assert plain.next_index["core function"] == 3
    assert plain.lift.post_return is not None


CODEFUL = '(core module $m (func (export "f") (param i32 i32) (result i32) unreachable))'
UNSUPPORTED = {
    "no such export": ("", "is not a plain instance with one function"),
    "two functions": (
        f"""(instance $server (export "a" (func $one)) (export "b" (func $two)))
        (export "{NAME}" (instance $server))""",
        "is not a plain instance with one function",
    ),
    "a component with code of its own": (
        f"""(component $own {CODEFUL} (import "f" (func $f {PLAIN})) (export "handle-message" (func $f)))
        (instance $server (instantiate $own (with "f" (func $one)))) (export "{NAME}" (instance $server))""",
        "is not a plain instance with one function",
    ),
    "a function from outside": (
        f"""(import "outside" (func $outside {PLAIN}))
        (instance $server (export "handle-message" (func $outside))) (export "{NAME}" (instance $server))""",
        "its handle-message is not lifted from a core function of its own",
    ),
    "a lift without memory": (
        f"""(func $bare (param "x" u32) (param "y" u32) (result u32) (canon lift (core func $first)))
        (instance $server (export "handle-message" (func $bare))) (export "{NAME}" (instance $server))""",
        "its handle-message is lifted with the options []",
    ),
}


@pytest.mark.parametrize(("more", "reason"), list(UNSUPPORTED.values()), ids=list(UNSUPPORTED))
def test_what_leaves_a_doubt_is_unsupported(more: str, reason: str) -> None:
    """Where the export might be another function than the one found, there is no shim."""
    with pytest.raises(Unsupported) as caught:
        find(FUNCTIONS, more)
    assert str(caught.value).endswith(reason)


@pytest.mark.parametrize(
    ("component", "reason"),
    [
        (b"", "it is no component"),
        (b"\0asm\1\0\0\0", "it is no component"),
        (b"\0asm\x0d\0\1\0\x01\x05", "it is truncated"),
        (b"\0asm\x0d\0\1\0" + section(9, b""), "a section with id 9"),
        (b"\0asm\x0d\0\1\0" + section(6, vector([]) + b"\0"), "bytes follow the last alias of a section"),
        (b"\0asm\x0d\0\1\0" + section(8, vector([b"\x99"])), "a canonical definition of kind 0x99"),
        (b"\0asm\x0d\0\1\0" + section(8, vector([b"\0\1"])), "a lift of another kind"),
        (b"\0asm\x0d\0\1\0" + section(8, vector([b"\1\0\0\1\7"])), "the canonical option 7"),
        (b"\0asm\x0d\0\1\0" + section(6, vector([b"\1\7"])), "an alias of kind 7"),
        (b"\0asm\x0d\0\1\0" + section(5, vector([b"\7"])), "an instance of kind 7"),
        (b"\0asm\x0d\0\1\0" + section(4, b"\0wasm..."), "a nested component without header"),
        (b"\0asm\x0d\0\1\0" + section(10, vector([b"\0" + name("n") + b"\x09"])), "something described by 9"),
    ],
)
def test_what_is_not_understood_is_unsupported(component: bytes, reason: str) -> None:
    """Every unknown form has its own words."""
    with pytest.raises(Unsupported) as caught:
        find_lift(component, NAME)
    assert str(caught.value) == reason
