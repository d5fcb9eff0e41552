"""A certificate of 127.0.0.1, and the authority of its own that signed it."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

__all__ = ["write_certificates"]


def write_certificates(folder: Path) -> None:
    """Write `ca.crt`, `server.pem` and `server.key` into a folder; they hold for a day."""
    authority, server = (generate_private_key(SECP256R1()) for _ in range(2))
    (folder / "ca.crt").write_bytes(_certificate("ca", "ca", authority, authority, ca=True))
    (folder / "server.pem").write_bytes(_certificate("127.0.0.1", "ca", server, authority))
    (folder / "server.key").write_bytes(
        server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def _certificate(subject: str, issuer: str, key: Any, authority: Any, *, ca: bool = False) -> bytes:
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (subject, issuer)
    ]
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(names[1], names[0], key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        address = x509.IPAddress(ipaddress.ip_address(subject))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(authority, SHA256()).public_bytes(Encoding.PEM)
