"""TLS on a listener: its certificate and key, read at start and again at each reload. No sockets, no trio."""

import datetime
import ssl
from pathlib import Path
from typing import Final

from cryptography import x509

from theater_supervisor.gateway.door.secret_files import SecretUnusable, check_secrecy, unreadable

# Of one kind, or of two: OpenSSL knows no place for a key of another kind than the certificate's.
_MISMATCHES: Final = frozenset({"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return what serves TLS 1.2 and newer with a certificate chain and its key, both PEM.

    Raises SecretUnusable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Renegotiation and compression have nothing to give here but work for an attacker to make.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    _check_certificate(cert)
    check_secrecy(key)
    try:
        # The empty password keeps OpenSSL from asking for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise _unfitting(cert, key, error) from None
    except OSError as error:
        raise unreadable(key, error) from None
    return context


def expires_at(cert: Path) -> datetime.datetime | None:
    """Return when the server's own certificate, the first in the file, ends; None where it can't be told."""
    try:
        own, *_ = x509.load_pem_x509_certificates(cert.read_bytes())
    except (OSError, ValueError):
        return None
    return own.not_valid_after_utc


def _check_certificate(cert: Path) -> None:
    """Tell a certificate that is none from a key that doesn't fit, which OpenSSL doesn't."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=cert)
    except ssl.SSLError:
        raise SecretUnusable(
            f"{cert} is no certificate in PEM", "the server's own comes first, then its issuers'"
        ) from None
    except OSError as error:
        raise unreadable(cert, error) from None


def _unfitting(cert: Path, key: Path, error: ssl.SSLError) -> SecretUnusable:
    if error.reason in _MISMATCHES:
        what = f"{key} is not the key of the certificate in {cert}"
        return SecretUnusable(what, "the server's own certificate comes first in the file")
    if error.reason and "TOO_" in error.reason:
        return SecretUnusable(f"{cert} is refused by OpenSSL: {error.reason}", "make a stronger one")
    what = f"{key} is no private key in PEM, or has a password"
    return SecretUnusable(what, "openssl pkey writes it without one")
