"""An actor's log: a worker's untrusted bytes become bounded, stamped, harmless lines."""

import re
from pathlib import Path

import pytest

from theater_supervisor.actor.logs import MAX_LINE_BYTES, ActorLog, Line, LineDecoder, escape

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


def test_control_characters_cannot_reach_a_terminal() -> None:
    """Escape sequences, carriage returns and line separators are spelled out; tabs stay."""
    assert escape("\x1b[2J\r\x00\x85\u2028\tend") == "\\x1b[2J\\r\\x00\\x85\\u2028\tend"


def test_the_file_has_one_stamped_line_each(tmp_path: Path) -> None:
    """Time, actor and incarnation, stream, text; debug lines only when asked for."""
    echoed: list[str] = []
    log = ActorLog(tmp_path / "chat.log", "chat", debug=False, echo=echoed.append)
    log.write(17, [Line("L", "one"), Line("D", "hidden"), Line("O", "two")])
    log.mark(17, "spawned pid 812")
    log.note(17, "hidden too")
    log.close()
    log.close()
    lines = (tmp_path / "chat.log").read_text().splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z "
    assert [re.sub(f"^{stamp}", "", line) for line in lines] == echoed
    assert echoed == ["chat/17 L one", "chat/17 O two", "chat/17 S spawned pid 812"]


def test_a_full_disk_costs_lines_not_the_actor() -> None:
    """A failing write is counted and nothing is raised."""
    log = ActorLog(Path("/dev/full"), "chat", debug=True, echo=None)
    log.write(1, [Line("E", "a"), Line("E", "b")])
    log.close()
    assert log.lost_lines == 2
