"""What is said of a call that was stopped."""

import pytest

from theater_worker.wording import trap_reason

UNREACHABLE = (
    "error while executing at wasm backtrace:\n    0: …\n\nCaused by:\n    wasm trap: wasm `unreachable`"
)


def unknown(interface: str, function: str) -> str:
    """Wasmtime's words for an import that traps."""
    return f"error\n\nCaused by:\n    unknown import: `{interface}@0.2.9#{function}` has not been defined"


@pytest.mark.parametrize(
    ("interface", "function", "advice"),
    [
        ("wasi:cli/exit", "exit", "an actor can't end its process (sys.exit); return or raise"),
        ("wasi:sockets/tcp-create-socket", "create-tcp-socket", "an actor has no network"),
        ("wasi:http/outgoing-handler", "handle", "an actor has no network"),
        ("wasi:filesystem/types", "[method]descriptor.open-at", "an actor has no files"),
        ("wasi:clocks/monotonic-clock", "subscribe-instant", "an actor can't wait"),
        ("wasi:io/poll", "poll", "an actor can't wait"),
        ("wasi:io/streams", "[method]input-stream.read", "an actor has no standard input"),
        ("wasi:unheard/of", "now", "an actor does not have it"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_do(interface: str, function: str, advice: str) -> None:
    """The import by its name, without the version, and an author's words."""
    said = trap_reason(unknown(interface, function))
    assert said.startswith(f"{interface} {function} is not provided: {advice}")


def test_an_import_without_a_version_is_found_too() -> None:
    """Names come with and without."""
    assert trap_reason("unknown import: `wasi:cli/exit#exit` has not been defined").startswith(
        "wasi:cli/exit exit"
    )


def printed(exception: str) -> list[str]:
    """The last lines that a Python actor's runtime prints before it traps."""
    runtime = ["", "thread '<unnamed>' (1) panicked at runtime/src/lib.rs:1293:29:"]
    runtime += ["Python function threw an unexpected exception", "note: run with `RUST_BACKTRACE=1` …"]
    return ['  File "/0/chat.py", line 13, in handle_message', exception, *runtime]


@pytest.mark.parametrize(
    ("exception", "advice"),
    [
        ("ModuleNotFoundError: No module named 'xml'", "import it at the top of the source"),
        ("LookupError: unknown encoding: idna", "an actor has no network"),
        ("LookupError: unknown encoding: utf_7", "import encodings"),
        ("FileNotFoundError: [Errno 44] No such file or directory: 'x'", "an actor has no files"),
        ("RuntimeError: can't start new thread", "an actor has one thread"),
        ("KeyError: 'name'", None),
    ],
)
def test_a_python_actors_exception_is_the_reason(exception: str, advice: str | None) -> None:
    """Not the trap that its runtime makes of it; with what to do, where that is known."""
    said = trap_reason(UNREACHABLE, printed(exception))
    assert said.startswith(exception)
    assert (advice in said) if advice else said == exception


def test_what_a_guest_printed_is_no_reason_by_itself() -> None:
    """Only the runtime's own words make it one, and it is cut."""
    assert trap_reason(UNREACHABLE, ["KeyError: 'name'"]) == "wasm trap: wasm `unreachable`"
    assert trap_reason(UNREACHABLE, ["Python function threw an unexpected exception"]).startswith("wasm trap")
    assert len(trap_reason(UNREACHABLE, printed("E" * 5000))) == 200
