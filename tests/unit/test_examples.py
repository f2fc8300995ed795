"""The example actors' own logic, called as Python, with stand-ins for what componentize-py generates."""

import enum
import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

MANIFESTS = Path(__file__).parents[2] / "manifests"


class MessageType(enum.Enum):
    """As generated from theater.wit."""

    TEXT = 0
    BINARY = 1
    PING = 2
    PONG = 3
    CLOSE = 4
    CONNECT = 5


@dataclass
class WebsocketMessage:
    """As generated from theater.wit."""

    ty: MessageType
    text: str | None
    data: bytes | None


@dataclass
class WebsocketResponse:
    """As generated from theater.wit."""

    messages: list[WebsocketMessage]


class Actor:
    """An example actor and its state."""

    def __init__(self, module: ModuleType, logged: list[str]) -> None:
        self._server = module.WebsocketServer()
        self.logged = logged
        self.state: bytes | None = None

    def tell(
        self, ty: MessageType, text: str | None = None, data: bytes | None = None
    ) -> list[str | bytes | None]:
        """Give it one event; return what it replies."""
        self.state, (response,) = self._server.handle_message(self.state, (WebsocketMessage(ty, text, data),))
        return [reply.data if reply.ty is MessageType.BINARY else reply.text for reply in response.messages]

    def facts(self) -> object:
        """The state, which is JSON."""
        assert self.state is not None
        return json.loads(self.state)


def load(name: str, monkeypatch: pytest.MonkeyPatch, directory: Path = MANIFESTS) -> Actor:
    """Load NAME.py with the stand-ins in place of wit_world."""
    logged: list[str] = []
    contents: dict[str, dict[str, object]] = {
        "wit_world": {},
        "wit_world.exports": {"WebsocketServer": object},
        "wit_world.imports": {},
        "wit_world.imports.runtime": {"log": logged.append},
        "wit_world.imports.websocket_types": {
            "MessageType": MessageType,
            "WebsocketMessage": WebsocketMessage,
            "WebsocketResponse": WebsocketResponse,
        },
    }
    for full_name, names in contents.items():
        module = ModuleType(full_name)
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, full_name, module)
        parent, _, child = full_name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
    spec = importlib.util.spec_from_file_location(f"example_{name}", directory / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Actor(module, logged)


def said(**fields: object) -> str:
    """A chat message as a client sends it."""
    return json.dumps({"username": "ann", "content": "hello", "timestamp": 1} | fields)


def test_echo_sends_back_what_it_gets_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented dialogue, with both counts as it goes on."""
    echo = load("echo", monkeypatch)
    assert echo.tell(MessageType.CONNECT) == ["Welcome! You are connection #1"]
    assert echo.tell(MessageType.CONNECT) == ["Welcome! You are connection #2"]
    assert echo.tell(MessageType.TEXT, "grüße") == ["Echo: grüße"]
    assert echo.tell(MessageType.BINARY, data=b"\0\xff") == [b"\0\xff"]
    assert echo.facts() == {"connection_count": 2, "message_count": 2}
    assert echo.tell(MessageType.CLOSE) == []
    assert echo.facts() == {"connection_count": 1, "message_count": 2}


@pytest.mark.parametrize("name", ["echo", "chat"])
@pytest.mark.parametrize("ty", [MessageType.PING, MessageType.PONG])
def test_examples_ignore_pings(name: str, ty: MessageType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol answers pings itself; the actors neither reply nor change."""
    actor = load(name, monkeypatch)
    actor.tell(MessageType.CONNECT)
    before = actor.state
    assert actor.tell(ty, data=b"x") == []
    assert actor.state == before


def test_chat_keeps_the_history_for_everyone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented dialogue: who joins gets the count and the history, who speaks gets the history."""
    chat = load("chat", monkeypatch)
    first, second = json.loads(said()), json.loads(said(username="bob", content="hi"))
    assert chat.tell(MessageType.CONNECT) == ["Welcome! There are 1 users online.", "[]"]
    (history,) = chat.tell(MessageType.TEXT, said())
    assert json.loads(str(history)) == [first]
    welcome, history = chat.tell(MessageType.CONNECT)
    assert (welcome, json.loads(str(history))) == ("Welcome! There are 2 users online.", [first])
    (history,) = chat.tell(MessageType.TEXT, said(username="bob", content="hi"))
    assert json.loads(str(history)) == [first, second]
    assert chat.tell(MessageType.CLOSE) == []
    assert chat.facts() == {"messages": [first, second], "user_count": 1}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", "null", "{}", said(content=None), said(username=[]), said(timestamp=float("nan"))],
)
def test_chat_refuses_what_is_no_message(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told, the log has it too, and the state stays as it was."""
    chat = load("chat", monkeypatch)
    chat.tell(MessageType.CONNECT)
    before = chat.state
    (reply,) = chat.tell(MessageType.TEXT, text)
    assert str(reply).startswith("Error parsing message: ")
    assert chat.state == before
    assert len(chat.logged) == 1


def test_chat_keeps_only_the_fields_of_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else a client puts into the object does not stay in the room."""
    chat = load("chat", monkeypatch)
    chat.tell(MessageType.CONNECT)
    chat.tell(MessageType.TEXT, said(extra="x" * 1000))
    assert chat.facts() == {"messages": [json.loads(said())], "user_count": 1}
