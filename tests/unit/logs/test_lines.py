"""A worker's untrusted bytes become bounded, harmless lines, or are counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater_supervisor.logs.lines import MAX_LINE_BYTES, Line, LineDecoder

STREAM = b"plain\n\x1eLfrom the actor\n\x1eOprinted\n\x1eZno such stream\nhalf"


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_lines_keep_their_stream_however_they_arrive(step: int) -> None:
    """Marks are read and removed; what has no known mark is stderr; a last half line is kept."""
    decoder = LineDecoder()
    lines = [line for at in range(0, len(STREAM), step) for line in decoder.feed(STREAM[at : at + step])]
    assert lines + decoder.close() == [
        Line("E", "plain"),
        Line("L", "from the actor"),
        Line("O", "printed"),
        Line("E", "\x1eZno such stream"),
        Line("E", "half"),
    ]


@pytest.mark.parametrize("newline", [b"\n", b""], ids=["ended", "cut off"])
@pytest.mark.parametrize("step", [1000, 1 << 20])
def test_a_long_line_is_split_visibly_and_whole(newline: bytes, step: int) -> None:
    """No byte of an oversized line is lost, every piece is bounded and says that it goes on."""
    data = b"\x1eO" + b"x" * (3 * MAX_LINE_BYTES) + newline
    decoder = LineDecoder()
    lines = [line for at in range(0, len(data), step) for line in decoder.feed(data[at : at + step])]
    lines += decoder.close()
    assert {line.stream for line in lines} == {"O"}
    assert "".join(line.text.strip("…") for line in lines) == "x" * (3 * MAX_LINE_BYTES)
    assert all(len(line.text) <= MAX_LINE_BYTES + 2 for line in lines)
    assert lines[0].text.endswith("…")
    assert lines[-1].text.startswith("…")
    assert decoder.feed(b"next\n") == [Line("E", "next")]


def test_invalid_utf8_is_shown() -> None:
    """Bytes that are no text are visible as such, not dropped."""
    assert LineDecoder().feed(b"a\xff\xfeb\n") == [Line("E", "a\\xff\\xfeb")]


PIECES = st.sampled_from([b"a", b"\n", b"one\ntwo\n", b"half", b"x" * 9000, b"y" * 9000 + b"\n", b"\x1eOz\n"])


@given(st.lists(st.tuples(st.booleans(), PIECES)))
def test_every_line_is_returned_or_counted(chunks: list[tuple[bool, bytes]]) -> None:
    """Whatever is skipped in between: no line is both, none is neither, and none is joined with another."""
    decoder = LineDecoder()
    lines: list[Line] = []
    for skip, data in chunks:
        if skip:
            decoder.skip(data)
        else:
            lines += decoder.feed(data)
    lines += decoder.close()
    stream = b"".join(data for _, data in chunks)
    sent = stream.removesuffix(b"\n").split(b"\n") if stream else []
    ended = [line.text for line in lines if not line.text.endswith("…")]
    assert len(ended) + decoder.take_skipped() == len(sent)
    unmarked = {raw.decode().removeprefix("\x1eO") for raw in sent}
    assert {text for text in ended if not text.startswith("…")} <= unmarked
