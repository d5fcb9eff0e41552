"""Making the files of a federation: each one whole or not at all, and none that is there again.

A run that is cut off goes on when it is run again. Of two at once the second is refused.
"""

import json
import os
import shlex
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from fedledger.effects import Disk, Effects
from fedledger.errors import ConfigError
from fedledger.formats import parse_json
from fedledger.ledger_plugins.accounts import create_account, keystore_path, read_password
from fedledger.ledger_plugins.keystore import read_keystore, stated_address
from fedledger.urls import mask_url

from .authority import (
    authority_certificate,
    check_host,
    new_key,
    node_key,
    private_pem,
    public_ssh,
    server_certificate,
)

__all__ = ["Made", "Plan", "make_edge"]

_ALWAYS = ("localhost", "127.0.0.1", "superlink")
"""In every server certificate: its own apps reach it so, and compose.yaml calls it the last."""

_DAYS = 30
_SHARES = 10
"""Shares of the example's data; with more devices as many as there are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for.

    Attributes:
        devices: how many.
        hosts: names and addresses of the SuperLink's machine.
        port: the SuperLink's.
        ledger: URL of a ledger that devices reach, or "".
        store: URL of a store that they reach, or "".
        direct: whether devices send their calls themselves.
    """

    devices: int
    hosts: tuple[str, ...]
    port: int
    ledger: str = field(default="", repr=False)
    store: str = field(default="", repr=False)
    direct: bool = False

    def __post_init__(self) -> None:
        for host in self.hosts:
            check_host(host)
        if bool(self.ledger) != bool(self.store):
            raise ConfigError("--ledger and --store go together: give both, or neither")
        if self.direct and not self.ledger:
            raise ConfigError("--direct: devices need a --ledger and a --store that they reach")
        if self.ledger.partition("://")[0] == "local":
            raise ConfigError(
                "--ledger: local:// has one writer, the server, and is the default without this "
                "option; devices reach a node (local+http://HOST:PORT) or Ethereum"
            )

    @property
    def superlink(self) -> str:
        """Host and port as devices reach it."""
        host = self.hosts[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def lasting(self) -> dict[str, Any]:
        """Return what may not change from one run to the next, without secrets."""
        found = asdict(self) | {"ledger": mask_url(self.ledger), "store": mask_url(self.store)}
        del found["devices"]
        return found | {"hosts": list(self.hosts)}


@dataclass(slots=True)
class Made:
    """What came of it.

    Attributes:
        next: the file that says how to go on.
        made: files made now.
        kept: files that were there.
        accounts: names of accounts to their addresses.
        remarks: what to know besides, in sentences.
    """

    next: Path
    made: int = 0
    kept: int = 0
    accounts: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"next": str(self.next)}


def make_edge(folder: Path, plan: Plan) -> Made:
    """Make what is missing of a federation's files.

    Args:
        folder: where; made, for its owner alone.
        plan: what.

    Raises:
        ConfigError: the folder was made by another plan, is in use, or a key lacks its other half.
        AccountError: a keystore or a password file cannot be read or written.
    """
    disk = Effects.real().disk
    with ExitStack() as stack:
        disk.make_folder(folder.absolute(), private=True)
        _check_owner(folder)
        try:
            stack.enter_context(disk.lock(folder / ".lock", private=True))
        except BlockingIOError as error:
            raise ConfigError(f"{folder}: another `edge init` is at work there") from error
        maker = _Maker(folder.absolute(), plan, disk)
        maker.make()
        return maker.made


def _check_owner(folder: Path) -> None:
    """Keys are made in a folder that nobody else can put files into."""
    if os.name != "posix":
        return
    found = folder.stat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"{folder} belongs to somebody else, or others can write to it: name a folder that is "
            "not there yet, or chmod 700 your own"
        )


class _Maker:
    def __init__(self, root: Path, plan: Plan, disk: Disk) -> None:
        self.root, self.plan, self.disk = root, plan, disk
        self.made = Made(root / "WHAT-GOES-WHERE.txt")
        self._now = datetime.now(UTC)
        self._common = {
            "FLOWER": version("flwr"),
            "PORT": str(plan.port),
            "SUPERLINK": plan.superlink,
            "TRANSPORT": "store" if plan.store else "inline",
            "BIND": "127.0.0.1" if set(plan.hosts) <= set(_ALWAYS[:2]) else "0.0.0.0",  # noqa: S104
        }

    def make(self) -> None:
        """Make everything; keys and accounts first, what names them last."""
        self._same_plan()
        names = [f"device-{number}" for number in range(1, self.plan.devices + 1)]
        self._authority()
        self._part("aggregator", "server", self._server_keys)
        for number, name in enumerate(names):
            self._part(name, f"devices/{name}", partial(self._device, number, name))
        self._server()
        self._text("Dockerfile", "Dockerfile")
        whole = [_template("compose.yaml")]
        whole += [_template("compose-device.yaml").replace("@NAME@", name) for name in names]
        self._write("compose.yaml", lambda: self._filled("".join(whole)))
        self._text("WHAT-GOES-WHERE.txt", "WHAT-GOES-WHERE.txt")

    # Parts ---------------------------------------------------------------------------------

    def _part(self, name: str, folder: str, make: Callable[[], str]) -> None:
        """Make a machine's folder, unless it was made before and carried away.

        `make` returns the address of its account.
        """
        known = self._json("accounts.json")
        if name in known and not self._there(folder):
            self.made.accounts[name] = known[name]
            return
        address = self.made.accounts[name] = make()
        if known.get(name) != address:
            known[name] = address
            self.disk.write(self.root / "accounts.json", _json(known), private=True)

    def _same_plan(self) -> None:
        wanted = self.plan.lasting()
        self._write("edge.json", lambda: _json(wanted))
        found = self._json("edge.json")
        if found != wanted:
            name = next((name for name in wanted if found.get(name) != wanted[name]), "form")
            raise ConfigError(
                f"{self.root} was made with {name} {found.get(name)!r}, not {wanted.get(name)!r}: "
                "give the same options, or another folder"
            )

    def _authority(self) -> None:
        key, certificate = "authority/ca.key", "authority/ca.crt"
        if self._there(certificate):
            return
        signer = self._write(key, lambda: private_pem(new_key()))
        self._write(certificate, lambda: authority_certificate(_pem(signer), self._now))

    def _server_keys(self) -> str:
        if self._there("server/tls/server.crt") and not self._there("server/tls/server.key"):
            raise ConfigError(
                f"{self.root / 'server/tls/server.key'} is missing, which server.crt belongs to: "
                "put it back, or remove server.crt to have both made anew"
            )
        server = self._write("server/tls/server.key", lambda: private_pem(new_key()))
        if not self._there("authority/ca.key") and not self._there("server/tls/server.crt"):
            raise ConfigError(
                f"{self.root / 'authority/ca.key'} is missing, and no certificate can be made "
                "without it: put it back, or your own authority's certificate into server/tls"
            )
        hosts = tuple(dict.fromkeys((*self.plan.hosts, *_ALWAYS)))

        def certificate() -> bytes:
            signer = self._read("authority/ca.key"), self._read("authority/ca.crt")
            return server_certificate(_pem(server), hosts, signer, self._now, _DAYS)

        self._write("server/tls/server.crt", certificate)
        self._write("server/tls/ca.crt", lambda: self._read("authority/ca.crt"))
        return self._account("aggregator", self.root / "server")

    def _account(self, name: str, folder: Path) -> str:
        home = folder / "home"
        keystore, password = keystore_path(name, home), folder / "password"
        if self.disk.exists(keystore) and not self.disk.exists(password):
            raise ConfigError(
                f"{password} is missing, and {keystore} cannot be opened without it: put it back, "
                "or move the keystore away to have a new account"
            )
        self._write(password, (token_urlsafe(24) + "\n").encode)
        if self.disk.exists(keystore):
            self.made.kept += 1
        else:
            self.disk.make_folder(home, private=True)
            create_account(name, read_password(password), home, light=True)
            self.made.made += 1
        address = stated_address(read_keystore(keystore, self.disk), keystore)
        if address is None:
            raise ConfigError(f"{keystore} names no address: `edge init` makes ones that do")
        return address

    def _device(self, number: int, name: str) -> str:
        place = f"devices/{name}"
        key = self._write(f"{place}/node.key", lambda: node_key(new_key()))
        public = public_ssh(_ssh(key, self.root / place / "node.key"), name)
        copies = [f"{place}/node.key.pub"]
        copies += [f"server/nodes/{name}.pub"] if self._there("server") else []
        for copy in copies:
            if self._write(copy, lambda: public) != public:
                raise ConfigError(
                    f"{self.root / copy} is not the public half of {place}/node.key: put the right "
                    "key back, or remove the copy, and register and bind the key that is there"
                )
        address = self._account(name, self.root / place)
        self._write(f"{place}/ca.crt", lambda: self._read("authority/ca.crt"))
        shares = max(_SHARES, number + 1)
        config = f'account="{name}" account-password-file="password" node-key="node.key" '
        config += f"partition-id={number} num-partitions={shares}"
        config += ' submit="direct"' if self.plan.direct else ""
        self._write(f"{place}/node-config", f"{config}\n".encode)
        self._environment(place)
        self._text(f"{place}/start.sh", "start-supernode.sh", NAME=name)
        self._text(f"{place}/supernode.service", "supernode.service", NAME=name)
        return address

    def _server(self) -> None:
        if not self._there("server"):
            return
        self.disk.make_folder(self.root / "server" / "run", private=True)
        self._environment("server")
        self._text("server/start.sh", "start-superlink.sh")
        self._text("server/superlink.service", "superlink.service")
        root = json.dumps(str(self.root / "server/tls/ca.crt"))
        self._text("server/flwr/config.toml", "config.toml", ROOT=root)
        clients = {name: one for name, one in self.made.accounts.items() if name != "aggregator"}
        everybody = "".join(f"{one}\n" for one in self.made.accounts.values())
        self._write("server/accounts", everybody.encode)
        told = self._text("server/run.toml", "run.toml", CLIENTS=" ".join(clients.values()))
        self.made.remarks += [
            f"{name} is not in server/run.toml, which was there: a task that runs already admits "
            "it by `fedledger task join`; for a new one add it there"
            for name, address in clients.items()
            if address.encode() not in told
        ]

    def _environment(self, place: str) -> None:
        lines = self._filled(_template("env.sh")).decode()
        if place == "server":
            lines += _template("env-server.sh")
        else:
            lines += f'export SUPERLINK="${{SUPERLINK:-{self.plan.superlink}}}"\n'
        for name in ("ledger", "store"):
            url = getattr(self.plan, name)
            if url:
                ca = self._authority_of(url, place)
                lines += f"export FEDLEDGER_{name.upper()}={shlex.quote(url)}{ca}\n"
        self._write(f"{place}/env.sh", lines.encode)

    def _authority_of(self, url: str, place: str) -> str:
        """Return what follows a URL in sh: who is believed about a store on the server's machine.

        That one has the SuperLink's certificate; what others have, their URL says itself.
        """
        try:
            parts = urlsplit(url)
            ours = parts.hostname in self.plan.hosts
        except ValueError:  # no URL: who opens it says so
            return ""
        if parts.scheme != "store+https" or parts.query or not ours:
            return ""
        return f'"?ca=$PWD/{"tls/ca.crt" if place == "server" else "ca.crt"}"'

    # Files ---------------------------------------------------------------------------------

    def _text(self, path: str, template: str, **more: str) -> bytes:
        return self._write(path, lambda: self._filled(_template(template), **more))

    def _filled(self, text: str, **more: str) -> bytes:
        for name, value in (self._common | more).items():
            text = text.replace(f"@{name}@", value)
        return text.encode()

    def _write(self, path: str | Path, make: Callable[[], bytes]) -> bytes:
        """Write a file that is not there, for its owner alone; return what is there then."""
        place = self.root / path
        if self.disk.exists(place):
            self.made.kept += 1
            return self._read(path)
        data = make()
        for folder in reversed(place.relative_to(self.root).parents[:-1]):
            self.disk.make_folder(self.root / folder, private=True)
        try:
            self.disk.create(place, data, private=True)
        except FileExistsError as error:
            raise ConfigError(f"{place} is there and leads nowhere: remove it") from error
        self.made.made += 1
        return data

    def _json(self, path: str) -> dict[str, Any]:
        """Return the object in a file; {} where there is none."""
        try:
            found = parse_json(self._read(path)) if self._there(path) else {}
        except ValueError as error:
            raise ConfigError(f"{self.root / path} is damaged: {error}") from error
        if not isinstance(found, dict):
            raise ConfigError(f"{self.root / path} is damaged: an object is needed")
        return found

    def _there(self, path: str) -> bool:
        return self.disk.exists(self.root / path)

    def _read(self, path: str | Path) -> bytes:
        place = self.root / path
        try:
            return self.disk.read_small(place)
        except OSError as error:
            raise ConfigError(f"{place} cannot be read: {error.strerror or error}") from error


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _template(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _pem(data: bytes) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"a key of authority or server is damaged: {error}") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ConfigError("keys of authority and server have to be of an elliptic curve")
    return key


def _ssh(data: bytes, path: Path) -> EllipticCurvePrivateKey:
    try:
        key = load_ssh_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ConfigError(f"{path} is no key of an elliptic curve, as Flower wants it")
    return key
