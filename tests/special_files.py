"""What may be found where a file is expected."""

import os
import socket
from pathlib import Path

from theater_supervisor.conversation import short_path

SPECIAL = ("pipe", "directory", "socket")


def place_special(path: Path, kind: str) -> None:
    """Make a pipe, a directory, a socket, or a link to a device of that name."""
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as sock, short_path(path) as address:
                sock.bind(address)
        case _:
            path.symlink_to("/dev/zero")
