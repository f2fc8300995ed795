"""Components that spell their types in their own ways: the shim fits, or says why not."""

from itertools import permutations
from pathlib import Path

import pytest

from tests.components import COMPONENTIZE_JS, build
from tests.unit.worker.shim.routes import COMPILE_TIMEOUT_S, Routes, load, routes
from tests.unit.worker.shim.spelling import CROWDED, ENUM, LONG_ENUM, NUMBERED, VARIANT, spelled
from theater_protocol.messages import EventKind, Reply
from theater_worker.component import Ok
from theater_worker.shim.layout import ENUM as ENUM_LAYOUT
from theater_worker.shim.layout import VARIANT as VARIANT_LAYOUT
from theater_worker.shim.layout import Layout, to_wat
from theater_worker.shim.naming import export_name

NO_SHIM = "\x1eEthis component runs without the fast call path: "


@pytest.mark.parametrize("message_type", [ENUM, LONG_ENUM, VARIANT], ids=["enum", "long enum", "variant"])
@pytest.mark.parametrize("fields", list(permutations(("ty", "text", "data"))), ids=" ".join)
def test_every_order_of_fields_and_cases_fits(
    tmp_path: Path, fields: tuple[str, ...], message_type: str
) -> None:
    """Everything is matched by name, whatever its place."""
    component = tmp_path / "spelled.wasm"
    component.write_bytes(spelled(fields, message_type))
    both = Routes(component, tmp_path)
    assert both.call(b"\xff", "text", "héllo") == Ok(b"\xff", (Reply("text", "héllo"),))
    assert both.call(None, "binary", None, b"\0\x80") == Ok(None, (Reply("binary", b"\0\x80"),))
    assert both.call(b"", "pong", "both", b"p") == Ok(b"", (Reply("pong", b"p"),))


def load_alone(component: Path, cache: Path) -> tuple[str | None, object]:
    """Load a component as the worker does; why it has no shim, and what it answers to a text."""
    report, actor = load(component, True, cache)
    return report.without_shim, actor.call(0, b"\xff", "text", "hello", None)


@pytest.mark.parametrize(
    ("message_type", "reason"),
    [
        (NUMBERED, "a case of its message-type carries something else than a string"),
        (CROWDED, "its message-type has 36 cases, more than 32"),
    ],
    ids=["a number in a case", "too many cases"],
)
def test_a_shape_that_does_not_fit_falls_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], message_type: str, reason: str
) -> None:
    """The component runs by the public API and the log says why, once for each start."""
    component = tmp_path / "spelled.wasm"
    component.write_bytes(spelled(("ty", "text", "data"), message_type))
    for _ in range(2):  # compiled, and found in the cache
        answer = load_alone(component, tmp_path / "cache")
        assert answer == (reason, Ok(b"\xff", (Reply("text", "hello"),)))
        assert capfd.readouterr().err == f"{NO_SHIM}{reason}\n"


def test_a_lift_with_other_options_falls_back(tmp_path: Path) -> None:
    """Strings in UTF-16 are left to wasmtime."""
    component = tmp_path / "utf16.wasm"
    component.write_bytes(spelled(("ty", "text", "data"), ENUM, options="string-encoding=utf16"))
    reason, _ = load_alone(component, tmp_path)
    assert reason == "its handle-message is lifted with the options [1, 3, 4]"


def test_code_compiled_elsewhere_runs_without_the_shim(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a reason beside it the log says as much as is known."""
    load(build("echo"), False, tmp_path)
    (reason,) = tmp_path.glob("*.without-shim")
    reason.unlink()
    capfd.readouterr()
    load(build("echo"), False, tmp_path)
    assert capfd.readouterr().err == f"{NO_SHIM}it was compiled without it\n"


def test_an_export_of_the_same_name_is_not_the_shim(tmp_path: Path) -> None:
    """A component's own export by that name keeps the shim out, and is not called for it."""
    component = tmp_path / "impostor.wasm"
    more = f"""(func $f (param "x" u32) (result u32) (canon lift (core func $core "number")))
               (export "{export_name()}" (func $f))"""
    component.write_bytes(spelled(("ty", "text", "data"), ENUM, more=more))
    reason, answer = load_alone(component, tmp_path)
    assert reason == "it does not compile with the shim in it"
    assert answer == Ok(b"\xff", (Reply("text", "hello"),))


def test_the_modules_of_the_two_spellings_differ_in_what_they_say() -> None:
    """Offsets and sizes by hand: the enum's message has 28 bytes, the variant's 36."""
    enum, variant = to_wat(ENUM_LAYOUT), to_wat(VARIANT_LAYOUT)
    for constant, values in {
        "size": (28, 36),
        "kind-at": (0, 0),
        "text-at": (4, 24),
        "data-at": (16, 12),
    }.items():
        for text, value in zip((enum, variant), values, strict=True):
            assert f'(func (export "{constant}") (result i32) (i32.const {value}))' in text
    last = to_wat(Layout(("text", "data", "ty"), ENUM_LAYOUT.kinds))
    assert '(func (export "kind-at") (result i32) (i32.const 24))' in last
    assert '(func (export "size") (result i32) (i32.const 28))' in last


KINDS: list[EventKind] = ["connect", "text", "binary", "ping", "pong", "close"]


@pytest.mark.timeout(COMPILE_TIMEOUT_S)
@pytest.mark.parametrize("actor", ["echo", "echo_variant", "counter", "probe", "stdout"])
@pytest.mark.parametrize("kind", KINDS)
def test_actors_of_every_make_take_every_event(actor: str, kind: EventKind) -> None:
    """C and Python, both spellings: the shim fits and answers as the public API does."""
    both = routes(actor)
    for state in (None, b"", b"12", b"\0\xff"):
        if actor == "counter" and state == b"\0\xff":
            continue
        both.call(state, kind, "7" if kind == "text" else None, b"\0\x80" if kind == "binary" else None)


@pytest.mark.skipif(
    not COMPONENTIZE_JS.exists(),
    reason="needs npm install --prefix build/js @bytecodealliance/componentize-js",
)
@pytest.mark.timeout(COMPILE_TIMEOUT_S)
def test_a_javascript_actor_too() -> None:
    """componentize-js makes another shape of component, with an engine of its own in it."""
    both = routes("echo_javascript")
    assert both.call(b"\xff", "text", "héllo") == Ok(b"\xff", (Reply("text", "héllo"),))
    assert both.call(None, "binary", None, b"\0\xff") == Ok(None, (Reply("binary", b"\0\xff"),))
    assert both.call(b"", "close") == Ok(b"", ())
