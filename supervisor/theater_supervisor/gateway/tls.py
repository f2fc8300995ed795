"""TLS on a listener: its certificate and key, read at start and again on reload. No sockets, no trio."""

import ssl
import stat
from pathlib import Path
from typing import Final

from theater_supervisor.gateway.auth import SecretUnusable

_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP


class ServerTls:
    """A certificate chain and its key, both PEM. Raises SecretUnusable."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert = cert
        self._key = key
        self.context = self._load()

    def reload(self) -> None:
        """Read both again, for the handshakes to come. Raises SecretUnusable, and the old ones stay."""
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Renegotiation and compression have nothing to give here but work for an attacker to make.
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(["http/1.1"])
        try:
            _check_mode(self._key)
            # The empty password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
        except ssl.SSLError as error:
            reason = error.reason or "not PEM, or with a password"
            raise SecretUnusable(f"{self._cert} and {self._key} can't be used: {reason}") from None
        except OSError as error:
            raise SecretUnusable(f"{error.filename or self._cert} can't be read: {error.strerror}") from None
        return context


def _check_mode(key: Path) -> None:
    if key.stat().st_mode & _OTHERS:
        raise SecretUnusable(f"{key} can be read by others or changed by its group: chmod 0640 it")
