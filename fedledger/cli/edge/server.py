"""A look at the SuperLink from a device: its certificate, and what time it has."""

import http.client
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from fedledger.errors import ConfigError

__all__ = ["SuperLink", "look_at_server"]

_SECONDS = 10.0
_WAYS = {
    "certificate has expired": "its certificate has expired: its operator needs a new one (of "
    "`edge init`: remove server/tls/server.crt and run it again), or this device's clock is wrong",
    "certificate is not yet valid": "its certificate is not valid yet: this device's clock is "
    "wrong, or the server's was",
    "self-signed certificate": "its certificate comes from an authority that {file} does not "
    "hold: get the right ca.crt from the operator",
    "unable to get local issuer": "its certificate comes from an authority that {file} does not "
    "hold: get the right ca.crt from the operator",
    "signature failure": "its certificate comes from an authority of the same name and another "
    "key than the one in {file}: get the right ca.crt from the operator",
    "Hostname mismatch": "its certificate is for other names ({names}): reach it by one of them, "
    "or let the operator make one with this name (`edge init --host`)",
    "IP address mismatch": "its certificate is for other names ({names}): reach it by one of them, "
    "or let the operator make one with this address (`edge init --host`)",
}
"""What OpenSSL says of a certificate, to what that means here."""


@dataclass(frozen=True, slots=True)
class SuperLink:
    """What was seen.

    Attributes:
        until: when its certificate ends.
        names: the names in it.
        ahead: seconds by which its clock is ahead of this one; None: it does not say.
    """

    until: datetime
    names: tuple[str, ...]
    ahead: float | None


def look_at_server(place: str, authority: Path) -> SuperLink:
    """Reach a SuperLink by TLS, as its SuperNodes do.

    Args:
        place: HOST:PORT.
        authority: file with the certificates that it may come from, PEM.

    Raises:
        ConfigError: it is not there, or its certificate does not do; says what to do.
    """
    host, _, port = place.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdigit():
        raise ConfigError(f"SUPERLINK is {place!r}, HOST:PORT is needed")
    try:
        context = ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{authority} is no file of certificates (PEM): {error}") from error
    try:
        with closing(
            http.client.HTTPSConnection(host, int(port), timeout=_SECONDS, context=context)
        ) as line:
            line.connect()
            seen = _certificate(line.sock)
            line.request("GET", "/health")
            now = datetime.now(UTC)
            return SuperLink(*seen, _ahead(line.getresponse().getheader("Date"), now))
    except ssl.SSLCertVerificationError as error:
        raise ConfigError(f"{place}: {_why(error, host, int(port), authority)}") from error
    except ssl.SSLError as error:
        raise ConfigError(
            f"{place} speaks no TLS ({error.reason or error}): is it the SuperLink, started with "
            "certificates?"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError(
            f"nothing answers at {place} ({error}): is the SuperLink running, and does the network "
            "let this device reach it?"
        ) from error


def _why(error: ssl.SSLCertVerificationError, host: str, port: int, file: Path) -> str:
    said = error.verify_message or str(error)
    known = next((text for part, text in _WAYS.items() if part in said), None)
    if known is None:
        return f"its certificate is refused: {said}"
    names = ", ".join(_names_of(host, port)) or "it does not say which"
    return known.format(file=file, names=names)


def _names_of(host: str, port: int) -> tuple[str, ...]:
    """Return the names in the certificate of a server that was refused for its names."""
    unchecked = ssl._create_unverified_context()  # noqa: S323, SLF001 - only to say what is in it
    try:
        with (
            socket.create_connection((host, port), timeout=_SECONDS) as plain,
            unchecked.wrap_socket(plain, server_hostname=host) as line,
        ):
            found = x509.load_der_x509_certificate(line.getpeercert(binary_form=True) or b"")
            return _alternatives(found)
    except (OSError, ValueError):
        return ()


def _certificate(line: Any) -> tuple[datetime, tuple[str, ...]]:
    found = x509.load_der_x509_certificate(line.getpeercert(binary_form=True))
    return found.not_valid_after_utc, _alternatives(found)


def _alternatives(found: x509.Certificate) -> tuple[str, ...]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in names)


def _ahead(date: str | None, now: datetime) -> float | None:
    try:
        return None if date is None else (parsedate_to_datetime(date) - now).total_seconds()
    except (TypeError, ValueError):
        return None
