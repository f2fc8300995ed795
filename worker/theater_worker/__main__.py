"""`python -I -m theater_worker`: one actor's worker process, started by the supervisor.

Frames come in on stdin and go out on stdout; log lines go to stderr. Exit status (sysexits.h): 0 after Stop
or the end of the pipe, 65 when the component cannot be run, 66 when its compiled code cannot be read, 70 for
an error in the worker itself, 74 when the supervisor has gone, 76 when its frames break the protocol.
"""

import os
import signal
import traceback

from theater_protocol.errors import RemoteProtocolError
from theater_worker.errors import EX_IOERR, EX_PROTOCOL, EX_SOFTWARE, WorkerError
from theater_worker.heap import keep_buffers
from theater_worker.loop import serve
from theater_worker.sandbox import tidy_up
from theater_worker.stdio import claim_wire, log


def main() -> int:
    """Serve the wire until it ends and return the exit status."""
    # Ctrl-C in a terminal reaches the whole process group; when to stop is the supervisor's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tidy_up()
    keep_buffers()
    read_fd, write_fd = claim_wire()
    try:
        serve(read_fd, write_fd)
    except WorkerError as exc:
        log("E", str(exc))
        return exc.exit_status
    except RemoteProtocolError as exc:
        log("E", f"the supervisor broke the protocol: {exc}")
        return EX_PROTOCOL
    except BrokenPipeError:
        return EX_IOERR
    # The process is the boundary: its last words go to the log, and it ends with a status of its own.
    except Exception:
        log("E", traceback.format_exc().rstrip("\n"))
        return EX_SOFTWARE
    return 0


if __name__ == "__main__":
    # Locked down, an interpreter can't take itself apart: callbacks would be given back into memory that may
    # not be written any more. What there was to say has been written.
    os._exit(main())
