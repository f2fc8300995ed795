"""An actor that is a chat room: it keeps every message and counts who is online.

The state is JSON: {"messages": [{"username": …, "content": …, "timestamp": …}, …], "user_count": N}.
A reply goes to the client that sent the message; the others get the history with their next message.
"""

import json
from typing import Any

from wit_world import exports
from wit_world.imports import runtime
from wit_world.imports.websocket_types import MessageType, WebsocketMessage, WebsocketResponse

FIELDS = ("username", "content", "timestamp")


class WebsocketServer(exports.WebsocketServer):
    """What the actor exports; componentize-py finds the class by its name."""

    def handle_message(
        self, state: bytes | None, params: tuple[WebsocketMessage]
    ) -> tuple[bytes | None, tuple[WebsocketResponse]]:
        """Answer one event of one client: the new state, and the replies to that client."""
        (message,) = params
        room = json.loads(state) if state else {"messages": [], "user_count": 0}
        replies = answer(room, message)
        return json.dumps(room).encode(), (WebsocketResponse(replies),)


def answer(room: dict[str, Any], message: WebsocketMessage) -> list[WebsocketMessage]:
    """Update the room and say what to reply."""
    match message.ty:
        case MessageType.CONNECT:
            room["user_count"] += 1
            return [text(f"Welcome! There are {room['user_count']} users online."), history(room)]
        case MessageType.CLOSE:
            room["user_count"] -= 1
        case MessageType.TEXT:
            try:
                room["messages"].append(parse(message.text or ""))
            except ValueError as error:
                runtime.log(f"bad message: {error}")
                return [text(f"Error parsing message: {error}")]
            return [history(room)]
    return []


def parse(content: str) -> dict[str, Any]:
    """Read a chat message. Raises ValueError for what is none."""
    message = json.loads(content)
    if not isinstance(message, dict):
        raise ValueError("expected an object")
    for field in FIELDS:
        if not isinstance(message.get(field), str | int | float):
            raise ValueError(f"expected `{field}` to be text or a number")
    message = {field: message[field] for field in FIELDS}
    json.dumps(message, allow_nan=False)  # Python reads NaN, but the history must be JSON for everyone
    return message


def history(room: dict[str, Any]) -> WebsocketMessage:
    """Make a text message of the whole history, a JSON array."""
    return text(json.dumps(room["messages"]))


def text(content: str) -> WebsocketMessage:
    """Make a text message."""
    return WebsocketMessage(MessageType.TEXT, content, None)
