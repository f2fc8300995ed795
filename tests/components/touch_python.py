"""Changes one byte of its state with every event and answers nothing, in Python."""

from wit_world.exports import WebsocketServer as Interface
from wit_world.imports.websocket_types import WebsocketMessage, WebsocketResponse


class WebsocketServer(Interface):
    """The actor."""

    def handle_message(
        self, state: bytes | None, params: tuple[WebsocketMessage]
    ) -> tuple[bytes | None, tuple[WebsocketResponse]]:
        """Change the first byte."""
        if state:
            state = bytes([state[0] ^ 1]) + state[1:]
        return state, (WebsocketResponse([]),)
