"""An actor that sends back what it is sent, and counts connections and messages.

The state is JSON: {"connection_count": N, "message_count": N}. `connection_count` is how many clients are
connected now; `message_count` is how many text and binary messages there ever were.
"""

import json

from wit_world import exports
from wit_world.imports import runtime
from wit_world.imports.websocket_types import MessageType, WebsocketMessage, WebsocketResponse


class WebsocketServer(exports.WebsocketServer):
    """What the actor exports; componentize-py finds the class by its name."""

    def handle_message(
        self, state: bytes | None, params: tuple[WebsocketMessage]
    ) -> tuple[bytes | None, tuple[WebsocketResponse]]:
        """Answer one event of one client: the new state, and the replies to that client."""
        (message,) = params
        counts = json.loads(state) if state else {"connection_count": 0, "message_count": 0}
        replies = answer(counts, message)
        return json.dumps(counts).encode(), (WebsocketResponse(replies),)


def answer(counts: dict[str, int], message: WebsocketMessage) -> list[WebsocketMessage]:
    """Update the counts and say what to reply."""
    match message.ty:
        case MessageType.CONNECT:
            counts["connection_count"] += 1
            runtime.log(f"connection #{counts['connection_count']}")
            return [text(f"Welcome! You are connection #{counts['connection_count']}")]
        case MessageType.TEXT:
            counts["message_count"] += 1
            return [text(f"Echo: {message.text}")]
        case MessageType.BINARY:
            counts["message_count"] += 1
            return [WebsocketMessage(MessageType.BINARY, None, message.data)]
        case MessageType.CLOSE:
            counts["connection_count"] -= 1
    return []


def text(content: str) -> WebsocketMessage:
    """Make a text message."""
    return WebsocketMessage(MessageType.TEXT, content, None)
