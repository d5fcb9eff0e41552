"""What a device can find out before its SuperNode starts: a sentence a thing, good or bad.

What was not looked at is never called good: it is `not checked`, with the reason.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flwr.app import Context, RecordDict
from flwr.common.config import parse_config_args

from fedledger.clients.direct import LEDGER_VARIABLE, STORE_VARIABLE, places_of
from fedledger.clients.identity import PASSWORD_VARIABLE, limits_of
from fedledger.effects import Disk, Effects
from fedledger.errors import AccountError, ConfigError, FedledgerError
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account, load_account, read_password
from fedledger.ledger_plugins.base import Ledger
from fedledger.ledger_plugins.contracts import Bonds, Reports, StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.identities.facade import Identities
from fedledger.ledger_plugins.contracts.identities.keys import FlowerKey
from fedledger.ledger_plugins.contracts.identities.nodes import (
    fingerprint,
    load_node_key,
    node_keys,
    public_of,
)
from fedledger.urls import mask_url

from .server import look_at_server

__all__ = ["CLOCK_SECONDS", "Finding", "Word", "check_device"]

CLOCK_SECONDS = 10.0
"""How far a device's clock may be behind the SuperLink's: TLS and people need it to be right."""

AHEAD_SECONDS = 4.0
"""How far it may be ahead: the SuperLink takes no node that is 5 s ahead of it, nor one that is
305 s behind; what it says of its time is up to a second old."""

_PROBE = b"fedledger edge check was here\n"
"""Always the same content: however often a device checks, a store has it once."""

Word = Literal["good", "wrong", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one check.

    Attributes:
        about: what was looked at.
        word: good, wrong, or not checked.
        said: a sentence.
    """

    about: str
    word: Word
    said: str


class _NotChecked(Exception):
    """Something could not be looked at, for a reason that was said already or is nobody's fault."""


class _Device:
    """A device's folder and environment; each method is one check and returns a sentence."""

    def __init__(self, folder: Path, task: int | None) -> None:
        self.folder, self.task = folder, task
        self.disk: Disk = Effects.real().disk
        self.config: dict[str, Any] = {}
        self.account: Account | None = None
        self.key: FlowerKey | None = None
        self.ledger: Ledger | None = None
        self.ahead: float | None = None
        self.opened = ExitStack()

    def node_config(self) -> str:
        path = self.folder / "node-config"
        try:
            text = self.disk.read_small(path).decode()
            self.config = parse_config_args([text.strip()])
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        except Exception as error:  # what Flower's parser raises, click's among them
            raise ConfigError(f"{path} is no node config: {error}") from error
        if "account" not in self.config:
            raise ConfigError(f'{path}: account="NAME" is missing')
        limits_of(self.config)
        submit = "sends its calls itself" if self._direct() else "gives its calls to the server"
        return f"it {submit}, for account {self.config['account']!r}"

    def password(self) -> str:
        self._have("account")
        named = self.config.get("account-password-file")
        if named is None:
            if PASSWORD_VARIABLE in os.environ:
                return f"in ${PASSWORD_VARIABLE}"
            raise ConfigError(f"set account-password-file in node-config, or ${PASSWORD_VARIABLE}")
        read_password(self.folder / str(named), disk=self.disk)
        return f"{named} is for its owner alone"

    def keystore(self) -> str:
        named = self.config.get("account-password-file")
        password = (
            read_password(self.folder / str(named), disk=self.disk)
            if named is not None
            else os.environ.get(PASSWORD_VARIABLE, "")
        )
        self.account = load_account(
            str(self._have("account")), password, os.environ.get("FEDLEDGER_HOME")
        )
        return f"it opens: {self.account.address}"

    def node_key(self) -> str:
        self._have("account")
        named = self.config.get("node-key")
        if named is None:
            raise _NotChecked(
                "node-key is not in node-config: this device cannot take part in "
                "tasks of bound nodes"
            )
        path = self.folder / str(named)
        self.key = load_node_key(path, self.disk)
        if self.disk.open_to_all(path):
            raise AccountError(
                f"{path} can be read by every user of this machine: chmod 600 {path}, and if "
                "others are there, make another key"
            )
        return f"SHA-256 {fingerprint(public_of(self.key)).hex()}"

    def superlink(self) -> str:
        place = os.environ.get("SUPERLINK", "")
        if not place:
            raise _NotChecked("SUPERLINK is not set: `. ./env.sh` sets it")
        seen = look_at_server(place, self.folder / "ca.crt")
        self.ahead = seen.ahead
        return f"{place}: its certificate is good until {seen.until:%Y-%m-%d %H:%M} UTC"

    def clock(self) -> str:
        if self.ahead is None:
            raise _NotChecked("the SuperLink did not say what time it is")
        if not -AHEAD_SECONDS <= self.ahead <= CLOCK_SECONDS:
            late = "behind" if self.ahead > 0 else "ahead of"
            raise ConfigError(
                f"this device's clock is {abs(self.ahead):.0f} s {late} the SuperLink's: set it, "
                "and keep it right (NTP)"
            )
        return "within some seconds of the SuperLink's"

    def the_ledger(self) -> str:
        url = self._place("ledger", LEDGER_VARIABLE)
        if not url:
            raise _NotChecked("this device has none: the server relays its calls")
        self.ledger = self.opened.enter_context(open_ledger(url, read_only=True))
        pinned = limits_of(self.config)["pins"].get("chain-id", self.ledger.chain_id)
        if pinned != self.ledger.chain_id:
            raise ConfigError(
                f"{mask_url(url)} is chain {self.ledger.chain_id}, node-config says "
                f"ledger-chain-id={pinned}: give this device the ledger of that chain"
            )
        return f"{mask_url(url)}: chain {self.ledger.chain_id}, block {self.ledger.head().block}"

    def funds(self) -> str:
        ledger, account = self._reached(), self._opened()
        shortage = getattr(ledger, "shortage", None)
        if shortage is None:
            raise _NotChecked("calls cost nothing on this ledger")
        lack = shortage(account.address, ledger.terms("TrainingTask", "submitUpdate"))
        if lack:
            raise AccountError(lack)
        return "enough for an update"

    def binding(self) -> str:
        ledger, account = self._reached(), self._opened()
        if self.key is None:
            raise _NotChecked("there is no node key")
        if Identities.contract not in ledger.contracts():
            raise _NotChecked("this ledger has no contract Identities: nodes cannot be bound on it")
        own = public_of(self.key)
        found = node_keys(ledger, [account.address], (ledger.head().block + 1, 0))
        told = found.get(account.address)
        if told is None:
            raise AccountError(
                f"{account.address} has published no SuperNode's key: `fedledger account bind "
                "--node-key node.key …` does"
            )
        if told != own:
            raise AccountError(
                f"{account.address} has published another key (SHA-256 {fingerprint(told).hex()}): "
                "bind this one, by `fedledger account bind`, or put the right node.key here"
            )
        return "the account has published this node's key"

    def registered(self) -> str:
        ledger, account = self._reached(), self._opened()
        if self.task is None:
            raise _NotChecked("no --task is given")
        from fedledger.strategies.rounds.tasks.membership import (  # noqa: PLC0415 - not on every device
            clients_now,
        )

        TrainingTask(ledger).task(self.task)
        found = clients_now(ledger, self._store(), self.task)
        if account.address not in [one["account"] for one in found["clients"]]:
            raise AccountError(
                f"{account.address} is no client of task {self.task} in its round "
                f"{found['round']} (who decides: {found['decides']}): `fedledger task join`"
            )
        return f"a client of task {self.task}"

    def bond(self) -> str:
        ledger, account = self._reached(), self._opened()
        if self.task is None:
            raise _NotChecked("no --task is given")
        if not {Bonds.contract, Reports.contract} <= ledger.contracts().keys():
            raise _NotChecked("this ledger has no contracts Bonds and Reports: nothing is pledged")
        least = Reports(ledger).terms(self.task).min_pledge
        if not least:
            raise _NotChecked(f"task {self.task} asks nobody for a pledge")
        pledged = Reports(ledger).pledged(self.task, account.address).amount
        if pledged >= least:
            return f"{pledged} tokens are pledged to task {self.task}, which asks for {least}"
        lacks = least - pledged
        deposit = max(lacks - Bonds(ledger).free(account.address), 0)
        tokens = StakeToken(ledger).balance(account.address)
        steps = [f"`fedledger report pledge {lacks} --task {self.task} …`"]
        if deposit:
            steps.insert(0, f"`fedledger bond deposit {deposit} …`")
        if deposit > tokens:
            has = f"it has {tokens} of the {deposit} tokens that it needs for that"
            steps.insert(0, f"{has}: whoever may mint gives some by `fedledger faucet`")
        raise AccountError(
            f"task {self.task} asks each account to pledge {least} tokens, and "
            f"{account.address} has pledged {pledged}: {', then '.join(steps)}"
        )

    def the_store(self) -> str:
        store = self._store()
        if store.get(store.put(_PROBE)) != _PROBE:
            raise ConfigError("the store gave back other bytes than it was given: use another one")
        return "it takes a content and gives it back"

    # Inside --------------------------------------------------------------------------------

    def _store(self) -> Any:
        url = self._place("store", STORE_VARIABLE)
        if not url:
            raise _NotChecked("this device has none: contents go through the server")
        return self.opened.enter_context(open_store(url, account=self.account))

    def _direct(self) -> bool:
        return bool(self.config.get("submit", "relay") != "relay")

    def _place(self, name: str, variable: str) -> str:
        self._have("account")
        if self._direct():  # refuses what the client would refuse
            found = places_of(self._context())
            if found is not None:
                return str(getattr(found, name))
        return str(self.config.get(name) or os.environ.get(variable) or "")

    def _context(self) -> Context:
        return Context(0, 0, self.config, RecordDict(), {})

    def _have(self, name: str) -> Any:
        if name not in self.config:
            raise _NotChecked("node-config cannot be read")
        return self.config[name]

    def _reached(self) -> Ledger:
        if self.ledger is None:
            raise _NotChecked("no ledger was reached")
        return self.ledger

    def _opened(self) -> Account:
        if self.account is None:
            raise _NotChecked("the account was not opened")
        return self.account


def check_device(folder: Path, task: int | None) -> list[Finding]:
    """Look at a device's folder, and at what it reaches, as its SuperNode and its app will.

    The environment is the one that `env.sh` sets.

    Args:
        folder: the device's.
        task: the task that it is going to take part in, or None.

    Returns:
        A finding for each thing, in order; of what depends on a wrong one, `not checked`.
    """
    device = _Device(folder, task)
    checks: dict[str, Callable[[], str]] = {
        "node config": device.node_config,
        "password file": device.password,
        "keystore": device.keystore,
        "node key": device.node_key,
        "SuperLink": device.superlink,
        "clock": device.clock,
        "ledger": device.the_ledger,
        "funds": device.funds,
        "binding": device.binding,
        "registration": device.registered,
        "bond": device.bond,
        "store": device.the_store,
    }
    with device.opened:
        return [_finding(about, check) for about, check in checks.items()]


def _finding(about: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(about, "good", check())
    except _NotChecked as reason:
        return Finding(about, "not checked", str(reason))
    except (FedledgerError, OSError) as error:
        return Finding(about, "wrong", str(error))
