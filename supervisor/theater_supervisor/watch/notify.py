"""Telling systemd how the supervisor is: READY, STATUS, WATCHDOG, RELOADING and STOPPING (sd_notify(3)).

Without $NOTIFY_SOCKET nothing is sent. Nothing waits for systemd, and a failure to reach it changes nothing.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

import structlog

_US_PER_S: Final = 1_000_000

_log = structlog.get_logger()


def ready(status: str) -> str:
    """The service is up, or done with reloading."""
    return f"READY=1\nSTATUS={_one_line(status)}"


def reloading(now_us: int) -> str:
    """The configuration is being read again; `ready` ends it. `now_us` is CLOCK_MONOTONIC."""
    return f"RELOADING=1\nMONOTONIC_USEC={now_us}"


def stopping() -> str:
    """The service is on its way down."""
    return "STOPPING=1\nSTATUS=stopping"


def status(text: str) -> str:
    """What `systemctl status` shows."""
    return f"STATUS={_one_line(text)}"


WATCHDOG: Final = "WATCHDOG=1"


def monotonic_us() -> int:
    """Return CLOCK_MONOTONIC in µs, as `reloading` wants it."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


class Watchdog:
    """When WATCHDOG is due: three times in each `interval_s`, while the event loop keeps up."""

    def __init__(self, interval_s: float | None) -> None:
        self._interval_s = interval_s
        self._due_s = 0.0

    def is_due(self, now_s: float, healthy: bool) -> bool:
        """Say whether to send it now. `now_s` is monotonic."""
        if self._interval_s is None or not healthy or now_s < self._due_s:
            return False
        self._due_s = now_s + self._interval_s / 3
        return True


class Notifier:
    """The way to the service manager, if there is one. Close it when done.

    It takes its variables out of `environment`, so that no child mistakes them for its own.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        usec, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        self.watchdog = Watchdog(_interval_s(usec, pid, os.getpid()))
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def send(self, message: str) -> None:
        """Send a message, if it can be sent at once."""
        if self._socket is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            _log.debug("notify_failed", reason=str(error))

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()


def _interval_s(usec: str, pid: str, own_pid: int) -> float | None:
    if not usec.isdecimal() or (pid and pid != str(own_pid)):
        return None
    return int(usec) / _US_PER_S or None


def _one_line(text: str) -> str:
    return " ".join(text.split())
