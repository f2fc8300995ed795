"""Which base path a request path belongs to."""

import pytest

from theater_supervisor.gateway.door.routes import RoutingTable

TABLE = RoutingTable((path, path) for path in ("/chat", "/chat/room/", "/a%20b", "/grüße", "/x/y/z"))
ROOTED = RoutingTable([("/", "root"), ("/chat", "chat")])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/chat", "/chat"),
        ("/chat/", "/chat"),
        ("/chat?room=1", "/chat"),
        ("/chat/?a=/chat/room", "/chat"),
        ("/chat/lobby/7", "/chat"),
        ("/chat/room", "/chat/room/"),
        ("/chat/room/7", "/chat/room/"),
        ("/chat/roomy", "/chat"),
        ("/chatter", None),
        ("/cha", None),
        ("/Chat", None),
        ("/", None),
        ("", None),
        ("/?/chat", None),
        ("//chat", None),
        ("/chat//room", "/chat"),
        ("/chat/../x/y/z", "/chat"),
        ("/./chat", None),
        ("/%63hat", "/chat"),
        ("/chat%2Froom", None),
        ("/chat%3Froom", None),
        ("/%2563hat", None),
        ("/chat/%", "/chat"),
        ("/%zz", None),
        ("/%ff", None),
        ("/a%20b/c", "/a%20b"),
        ("/gr%C3%BC%C3%9Fe", "/grüße"),
        ("/x/y", None),
        ("/x/y/z/" + "a/" * 8000, "/x/y/z"),
    ],
)
def test_the_longest_base_path_at_or_above_a_target_wins(target: str, expected: str | None) -> None:
    """On segment boundaries, decoded once, without the query."""
    assert TABLE.find(target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [("/", "root"), ("/anything", "root"), ("//", "root"), ("/chatter", "root"), ("/chat/x", "chat")],
)
def test_the_root_takes_what_nothing_else_takes(target: str, expected: str) -> None:
    """`/` is the base path of every path."""
    assert ROOTED.find(target) == expected


@pytest.mark.parametrize("again", ["/chat", "/chat/", "/%63hat"])
def test_two_routes_with_one_path_are_refused(again: str) -> None:
    """Also when they are spelled differently."""
    with pytest.raises(ValueError, match="routed twice"):
        RoutingTable([("/chat", 1), (again, 2)])


def test_a_path_is_absolute() -> None:
    """A base path starts at the root."""
    with pytest.raises(ValueError, match="must start with"):
        RoutingTable([("chat", 1)])


def test_an_empty_table_leads_nowhere() -> None:
    """Nothing is found where nothing is routed."""
    assert RoutingTable[int]([]).find("/") is None
