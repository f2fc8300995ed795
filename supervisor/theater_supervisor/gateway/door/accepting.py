"""Listening sockets: bound, and accepted from. What comes in is for others."""

import errno
from collections.abc import AsyncIterator
from typing import Final

import structlog
import trio

_ACCEPT_PAUSE_S: Final = 0.1

_log = structlog.get_logger()


async def bind(host: str, port: int) -> list[trio.SocketListener]:
    """Bind and listen on every address of `host` with SO_REUSEADDR; port 0 takes a free one.

    Raises OSError: its errno says why (EADDRINUSE, EACCES, …), and what was bound before is closed again.
    """
    return await trio.open_tcp_listeners(port, host=host)


async def accepted(listener: trio.SocketListener) -> AsyncIterator[trio.SocketStream]:
    """Yield what is accepted, until cancelled."""
    healthy = True
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            # Out of descriptors or memory: wait for some to come back, and say so once.
            if healthy:
                _log.error("accept_failed", errno=errno.errorcode.get(error.errno or 0), detail=str(error))
            healthy = False
            await trio.sleep(_ACCEPT_PAUSE_S)
        else:
            healthy = True
            yield stream
