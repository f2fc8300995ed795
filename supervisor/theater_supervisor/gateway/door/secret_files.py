"""Reading the files that logins and TLS depend on, and refusing those that others could read or change.

What is in them is `auth`'s and `tls`'s matter.
"""

import stat
from pathlib import Path
from typing import Final

from theater_supervisor.files import NotRegular, check_regular, read_regular

_NOT_SECRET: Final = stat.S_IRWXO | stat.S_IWGRP


class SecretUnusable(Exception):
    """A file or variable with tokens, a key or a certificate can't be used.

    The message says which and why; `hint` how to mend it.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.hint = hint


def check_secrecy(file: Path) -> None:
    """Raise SecretUnusable for a secret that others can read, or its group can change."""
    if _mode(file) & _NOT_SECRET:
        raise SecretUnusable(f"{file} can be read by others or changed by its group", f"chmod 0640 {file}")


def check_integrity(file: Path) -> None:
    """Raise SecretUnusable for a public file that others can change."""
    if _mode(file) & stat.S_IWOTH:
        raise SecretUnusable(f"{file} can be changed by others", f"chmod 0644 {file}")


def read_text(file: Path) -> str:
    """Return what is in it. Raises SecretUnusable."""
    try:
        return read_regular(file).decode("utf-8-sig")
    except OSError as error:
        raise unreadable(file, error) from None
    except UnicodeDecodeError:
        raise SecretUnusable(f"{file} is not UTF-8 text") from None


def unreadable(file: Path, error: OSError) -> SecretUnusable:
    """Return what is to be raised for a file that can't be read."""
    return SecretUnusable(f"{file} can't be read: {error.strerror}")


def _mode(file: Path) -> int:
    try:
        mode = file.stat().st_mode
        check_regular(mode, file)
    except NotRegular as error:
        raise SecretUnusable(f"{file} {error.strerror}") from None
    except OSError as error:
        raise unreadable(file, error) from None
    return mode
