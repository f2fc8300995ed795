"""Frames from a hostile worker, found by coverage: `python -m tests.property.fuzz_frames`.

Needs atheris, which is not among the tests' dependencies. Stops with the input at anything but a
RemoteProtocolError.
"""

import contextlib
import sys

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["theater_protocol", "theater_supervisor.actor", "tests.property"]):
    from tests.property.test_hostile_frames import WIRE, receive
    from theater_protocol.errors import RemoteProtocolError
    from theater_protocol.framing import HEADER_BYTES


def one_input(data: bytes) -> None:
    """Take the bytes as they are, as a frame's body, and after honest frames."""
    for wire in (data, len(data).to_bytes(HEADER_BYTES, "big") + data, WIRE + data):
        with contextlib.suppress(RemoteProtocolError):
            receive(wire)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
