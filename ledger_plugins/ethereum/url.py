"""The URLs of this backend: which node, and with which settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from fedledger.errors import ConfigError, UnknownNameError
from fedledger.urls import secrets_of

__all__ = ["Settings", "parse_url"]

_KINDS = ("http", "https", "ipc", "tester")
_GWEI = 10**9


@dataclass(frozen=True, slots=True)
class Settings:
    """What a URL says.

    Attributes:
        kind: "http", "https", "ipc" or "tester".
        address: the node's URL, the socket's path, or the name of a chain in this process.
        where: the node for messages, without user, password, path and query, which may be secret.
        deployment: file that says where the contracts are, or None for the usual place.
        confirmations: blocks that stand on a transaction's block when it counts, itself included.
        timeout: seconds that a node has for one answer.
        wait: seconds that a transaction has to be included and confirmed.
        max_fee: highest EIP-1559 fee cap that is signed, in wei for a unit of gas, or None.
        min_tip: lowest tip that is signed, in wei for a unit of gas.
        secrets: what no message repeats.
    """

    kind: str
    address: str = field(repr=False)
    where: str
    deployment: Path | None = None
    confirmations: int = 1
    timeout: float = 10.0
    wait: float = 120.0
    max_fee: int | None = None
    min_tip: int = 0
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


def parse_url(url: str) -> Settings:
    """Read a URL: ethereum+http://host:port, ethereum+ipc:///path, ethereum+tester://name.

    The query may have deployment (a file), confirmations, timeout and wait (seconds), max_fee_gwei,
    min_tip_gwei.

    Raises:
        ConfigError: not such a URL, or a setting out of its range.
        UnknownNameError: an unknown setting.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError("the node's URL has brackets around what is no IPv6 address") from None
    kind = parts.scheme.removeprefix("ethereum+")
    if kind not in _KINDS or kind == parts.scheme:
        wanted = ", ".join(f"ethereum+{one}://" for one in _KINDS)
        raise ConfigError(f"{parts.scheme}:// is no Ethereum node: one of {wanted} wanted")
    if parts.fragment:
        raise ConfigError("a node's URL has no '#'")
    if kind == "ipc":
        address = where = unquote(parts.path)
        if parts.netloc or not address.startswith("/"):
            raise ConfigError("a socket is written ethereum+ipc:///absolute/path, three slashes")
    elif kind == "tester":
        address = unquote(parts.netloc + parts.path)
        where = f"the tester's chain {address!r}"
    else:
        address, where = _http(kind, url)
    return Settings(kind, address, where, **_options(parts.query), secrets=secrets_of(url))


def _http(kind: str, url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:  # it repeats what stands there, which may be a part of a password
        raise ConfigError(
            "the node's URL has no valid port: a number up to 65535 wanted (in a password, '/', "
            "'@', '#' and '?' are written %2F, %40, %23 and %3F)"
        ) from None
    if not host:
        raise ConfigError(f"ethereum+{kind}:// names no host: ethereum+{kind}://127.0.0.1:8545")
    where = f"{kind}://[{host}]" if ":" in host else f"{kind}://{host}"
    address = urlunsplit((kind, parts.netloc, parts.path, "", ""))
    return address, where if port is None else f"{where}:{port}"


def _options(query: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ConfigError("settings of a node's URL are written ?name=value&name=value") from error
    for name, text in pairs:
        if name not in _READ:
            raise UnknownNameError("setting of an Ethereum URL", name, _READ)
        field, read = _READ[name]
        if field in options:
            raise ConfigError(f"{name} stands twice in the node's URL")
        options[field] = read(name, text)
    return options


def _path(name: str, text: str) -> Path:
    if not text or "\0" in text:
        raise ConfigError(f"{name} in the node's URL has to name a file")
    return Path(text)


def _count(name: str, text: str) -> int:
    value = _number(name, text)
    if value != int(value) or not 1 <= value <= 1000:
        raise ConfigError(f"{name}={text} in the node's URL: a whole number from 1 to 1000 wanted")
    return int(value)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 10**9:
        raise ConfigError(f"{name}={text} in the node's URL: a number above 0 wanted")
    return value


def _gwei(name: str, text: str) -> int:
    return max(1, int(_number(name, text) * _GWEI))


_READ: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "deployment": ("deployment", _path),
    "confirmations": ("confirmations", _count),
    "timeout": ("timeout", _number),
    "wait": ("wait", _number),
    "max_fee_gwei": ("max_fee", _gwei),
    "min_tip_gwei": ("min_tip", _gwei),
}
