"""Frames from a hostile worker, found by coverage: `make fuzz`.

Needs atheris, which is not among the tests' dependencies. Begins with honest frames, takes libFuzzer's
options, and stops with the input at anything but a RemoteProtocolError.
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["theater_protocol", "theater_supervisor.actor", "tests.property"]):
    from tests.property.test_hostile_frames import HONEST, WIRE, receive
    from theater_protocol.errors import RemoteProtocolError
    from theater_protocol.framing import HEADER_BYTES, encode_frame
    from theater_protocol.items import to_item


def one_input(data: bytes) -> None:
    """Take the bytes as they are, as a frame's body, and after honest frames."""
    for wire in (data, len(data).to_bytes(HEADER_BYTES, "big") + data, WIRE + data):
        with contextlib.suppress(RemoteProtocolError):
            receive(wire)


def write_honest(corpus: Path) -> None:
    """Write what to begin with: the honest frames, whole and as bodies, alone and together."""
    frames = [encode_frame(to_item(frame)) for frame in HONEST]
    for number, data in enumerate([WIRE, *frames, *(frame[HEADER_BYTES:] for frame in frames)]):
        (corpus / str(number)).write_bytes(data)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        write_honest(Path(directory))
        atheris.Setup([*sys.argv, directory], one_input)
        atheris.Fuzz()
