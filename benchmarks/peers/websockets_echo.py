"""The peer: an echo server of websockets on asyncio, with its defaults. Prints its URL."""

import asyncio

from websockets.asyncio.server import ServerConnection, serve


async def _echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def _main() -> None:
    async with serve(_echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"websockets on ws://127.0.0.1:{port}/", flush=True)
        await server.serve_forever()


asyncio.run(_main())
