"""From a worker's stderr into the actor's log, as it comes and however much it is.

Reads only; what a line is and where it is kept is the log's matter (lines.py, logs.py).
"""

import math
from typing import Final

import trio

from theater_supervisor.logs.actor_log import WorkerStream

# Small enough that decoding it, in the worst of cases line by empty line, holds nobody up.
_READ_BYTES: Final = 16384
# A flood must not have more than a fifth of the event loop's time; what comes meanwhile waits in its pipe.
_FLOOD_PAUSE_S: Final = 0.001
_FLOOD_REST: Final = 4


async def pump(stderr: trio.abc.ReceiveStream, stream: WorkerStream) -> None:
    """Feed `stream` with what the worker writes until its end, then close it."""
    try:
        while True:
            data = None
            with trio.move_on_after(stream.flush_after_s or math.inf):
                data = await stderr.receive_some(_READ_BYTES)
            if data is None:
                stream.flush()
            elif data:
                began_s = trio.current_time()
                stream.feed(bytes(data))
                if len(data) == _READ_BYTES:
                    await trio.sleep(max(_FLOOD_PAUSE_S, _FLOOD_REST * (trio.current_time() - began_s)))
            else:
                return
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        stream.close()
