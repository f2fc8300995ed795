"""The peer: an echo server of bare trio-websocket, with its defaults. Prints its URL."""

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket


async def _echo(request: WebSocketRequest) -> None:
    connection = await request.accept()
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except ConnectionClosed:
        return


async def _main() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, _echo, "127.0.0.1", 0, None)
        print(f"bare on ws://127.0.0.1:{server.port}/", flush=True)


trio.run(_main)
