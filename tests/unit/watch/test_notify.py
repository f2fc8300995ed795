"""What is said to systemd, where, and when its watchdog is fed."""

import os
import socket
from pathlib import Path

from theater_supervisor.watch import notify
from theater_supervisor.watch.notify import Notifier, Watchdog


def test_messages() -> None:
    """Assignments on lines of their own; a status is one line whatever it is made of."""
    assert notify.ready("up") == "READY=1\nSTATUS=up"
    assert notify.status("two\nlines\tand more") == "STATUS=two lines and more"
    assert notify.reloading(17) == "RELOADING=1\nMONOTONIC_USEC=17"
    assert notify.stopping().startswith("STOPPING=1\n")


def test_a_notifier_takes_its_variables_away_and_sends(tmp_path: Path) -> None:
    """No child of the supervisor finds the variables; the manager gets the message."""
    path = str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        notifier = Notifier(environment)
        notifier.send("READY=1")
        notifier.close()
        assert manager.recv(100) == b"READY=1"
    assert environment == {"HOME": "/"}


def test_without_a_manager_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    """No socket, one that is gone, and one that nobody reads: none of them is an error."""
    Notifier({}).send("READY=1")
    gone = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    gone.send("READY=1")
    gone.close()
    path = str(tmp_path / "deaf")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        deaf = Notifier({"NOTIFY_SOCKET": path})
        for _ in range(1000):
            deaf.send("STATUS=" + 1000 * "x")
        deaf.close()


def test_the_watchdog_is_fed_in_time_and_only_while_healthy() -> None:
    """Three times an interval; not while the loop is late, and at once when it has caught up."""
    watchdog = Watchdog(30.0)
    assert [watchdog.is_due(now_s, healthy=True) for now_s in (0, 1, 9.9, 10, 19, 20)] == [
        *(True, False, False, True, False, True),
    ]
    assert not watchdog.is_due(40, healthy=False)
    assert watchdog.is_due(41, healthy=True)


def test_only_a_watchdog_that_is_meant_for_this_process_is_fed() -> None:
    """Another process's, none, and nonsense are never due."""
    own = {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    assert Notifier(own).watchdog.is_due(0, healthy=True)
    for foreign in ({"WATCHDOG_USEC": "3", "WATCHDOG_PID": "1"}, {}, {"WATCHDOG_USEC": "often"}):
        assert not Notifier(foreign).watchdog.is_due(0, healthy=True)
