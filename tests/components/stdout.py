"""What a guest sees of WASI, through CPython: a text names what to look at, anything else comes back."""

import os
import random
import time
from pathlib import Path

from componentize_py_types import Err
from wit_world.exports import WebsocketServer as Interface
from wit_world.imports.websocket_types import MessageType, WebsocketMessage, WebsocketResponse

PRINTED_LINE = "x" * 1023 + "\n"
PRINTED_LINES = 1024


def answer(command: str) -> str:
    """Do what a text asks for and return the reply's text."""
    match command:
        case "print":
            print(PRINTED_LINE * PRINTED_LINES, end="", flush=True)
            return "printed"
        case "time":
            return f"{time.time_ns()} {time.monotonic_ns()}"
        case "random":
            return f"{os.urandom(16).hex()} {random.random()}"
        case "env":
            return f"{dict(os.environ)}"
        case "open":
            return Path("/etc/passwd").read_text()
        case "raise":
            raise Err("asked to raise")
        case "crash":
            raise ValueError("asked to crash")
        case "partial":
            print("no line end", end="", flush=True)
            return "printed"
    return command


class WebsocketServer(Interface):
    """The actor: texts go through `answer`, the state through unchanged."""

    def handle_message(
        self, state: bytes | None, params: tuple[WebsocketMessage]
    ) -> tuple[bytes | None, tuple[WebsocketResponse]]:
        """Answer a text, ignore the rest."""
        (message,) = params
        replies = []
        if message.ty is MessageType.TEXT:
            replies.append(WebsocketMessage(MessageType.TEXT, answer(message.text), None))
        return state, (WebsocketResponse(replies),)
