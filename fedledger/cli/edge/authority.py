"""Keys and certificates: an authority for tests, a server's certificate, keys of SuperNodes.

Nothing here is for production: whoever has the authority's key can pose as the server. Take the
certificate of your own authority there.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedledger.errors import ConfigError

__all__ = [
    "authority_certificate",
    "check_host",
    "new_key",
    "node_key",
    "private_pem",
    "public_ssh",
    "server_certificate",
]

NAME = "fedledger TEST authority, not for production"
AUTHORITY_DAYS = 365
_EARLIER = timedelta(hours=1)  # clocks of devices differ
_USES = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "encipher_only",
    "decipher_only",
)


def new_key() -> EllipticCurvePrivateKey:
    """Return a new private key on P-384."""
    return generate_private_key(SECP384R1())


def private_pem(key: EllipticCurvePrivateKey) -> bytes:
    """Return a key of a server or an authority, PKCS#8, without a passphrase."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def node_key(key: EllipticCurvePrivateKey) -> bytes:
    """Return a SuperNode's key as `ssh-keygen` writes it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def public_ssh(key: EllipticCurvePrivateKey, comment: str) -> bytes:
    """Return its public half, a line, as `flwr supernode register` takes it."""
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line + f" {comment}\n".encode()


def check_host(host: str) -> str:
    """Return a host's name or address.

    Raises:
        ConfigError: it is none.
    """
    labels = host.rstrip(".").split(".")
    fine = all(0 < len(one) < 64 and one.replace("-", "a").isalnum() for one in labels)
    if _address(host) is None and not (fine and host.isascii() and len(host) < 254):
        raise ConfigError(f"--host: {host!r} is no host's name and no address: give one alone")
    return host


def authority_certificate(key: EllipticCurvePrivateKey, now: datetime) -> bytes:
    """Return the certificate of an authority for tests, PEM.

    Args:
        key: its key.
        now: from when on it is valid, for `AUTHORITY_DAYS`.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    usage = x509.KeyUsage(
        digital_signature=False, key_cert_sign=True, crl_sign=True, **dict.fromkeys(_USES, False)
    )
    builder = _builder(name, name, key, now, AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return builder.sign(key, SHA384()).public_bytes(Encoding.PEM)


def server_certificate(
    key: EllipticCurvePrivateKey,
    hosts: Sequence[str],
    authority: tuple[bytes, bytes],
    now: datetime,
    days: int,
) -> bytes:
    """Return a server's certificate, PEM.

    Args:
        key: the server's.
        hosts: names and addresses by which it is reached.
        authority: the authority's key and certificate, PEM.
        now: from when on it is valid.
        days: for how long.

    Raises:
        ConfigError: the authority's files are damaged, or do not belong together.
    """
    try:
        signer = load_pem_private_key(authority[0], password=None)
        issuer = x509.load_pem_x509_certificate(authority[1])
    except (ValueError, TypeError) as error:
        raise ConfigError(f"authority: ca.key or ca.crt is damaged: {error}") from error
    if not isinstance(signer, EllipticCurvePrivateKey) or (
        signer.public_key() != issuer.public_key()
    ):
        raise ConfigError("authority: ca.crt is not the certificate of ca.key: remove ca.crt")
    names = [
        x509.DNSName(host) if address is None else x509.IPAddress(address)
        for host, address in ((host, _address(host)) for host in hosts)
    ]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedledger TEST server")])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=False, crl_sign=False, **dict.fromkeys(_USES, False)
    )
    builder = _builder(subject, issuer.subject, key, now, days)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName(names), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, SHA384()).public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    since = now.astimezone(UTC) - _EARLIER
    builder = x509.CertificateBuilder(issuer, subject, key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(since).not_valid_after(since + timedelta(days=days))
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
