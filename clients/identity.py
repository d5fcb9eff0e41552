"""Which account a client signs with."""

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from flwr.app import Context, Message

from fedledger.effects import Disk, Effects
from fedledger.errors import AccountError, ConfigError, UnknownNameError
from fedledger.records import CONFIG, SigningRequest

from ..ledger_plugins.accounts import Account, keystore_path, load_account, read_password
from ..ledger_plugins.addresses import checksum_address
from ..ledger_plugins.contracts.training_task.seals import salt_purpose
from ..ledger_plugins.signing import Domain
from .journal import ANY, MAX_FEE, MAX_FEES, MAX_GAS, Journal

__all__ = [
    "PASSWORD_VARIABLE",
    "SimulationKeys",
    "account_of",
    "journal_of",
    "limits_of",
    "place_of",
    "salt_of",
    "simulated_place",
    "told",
]

PASSWORD_VARIABLE = "FEDLEDGER_ACCOUNT_PASSWORD"  # noqa: S105 - the variable's name, not a password
HEADERS = ("checked", "unchecked")
_SECRET_BYTES = 32
_NO_LIMIT = 2**256
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class SimulationKeys:
    """Accounts of simulated clients, all derived from one secret file of the run.

    A simulation's clients live in one computer, so one secret is as safe as many; real clients
    have keystores of their own.

    Args:
        path: file with the secret, as `create` wrote it.
        disk: where it is; this machine's by default.

    Raises:
        AccountError: the file is missing or is no such file.
    """

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        disk = Effects.real().disk if disk is None else disk
        try:
            secret = disk.read(path, most=_SECRET_BYTES + 1)
        except OSError as error:
            raise AccountError(f"simulation keys {path}: {error.strerror}") from error
        if len(secret) != _SECRET_BYTES:
            raise AccountError(f"simulation keys {path}: {_SECRET_BYTES} bytes are needed")
        self._secret = secret
        self.path = path

    @classmethod
    def create(cls, path: Path, effects: Effects | None = None) -> "SimulationKeys":
        """Write a new secret, readable by its owner only, or open the one that is there.

        Args:
            path: the file.
            effects: draw it, and have the file; this machine's by default.
        """
        effects = effects or Effects.real()
        effects.disk.make_folder(path.parent)
        with suppress(FileExistsError):
            effects.disk.create(path, effects.entropy.draw(_SECRET_BYTES), private=True)
        return cls(path, effects.disk)

    def account(self, name: int | str) -> Account:
        """Return the account of a client, by its partition id, or of another role ("server")."""
        label = b"fedledger simulation account v1/" + str(name).encode()
        digest = hmac.new(self._secret, label, hashlib.sha512).digest()
        return Account.from_key(
            (int.from_bytes(digest, "big") % (_ORDER - 1) + 1).to_bytes(32, "big")
        )

    def __repr__(self) -> str:
        return f"SimulationKeys({str(self.path)!r})"


def account_of(message: Message, context: Context, disk: Disk) -> Account:
    """Return the account this client signs with.

    A device names its account in the node config, by its name or its file's path
    (`account="press-7"`), with the password in the environment variable FEDLEDGER_ACCOUNT_PASSWORD
    or in the first line of the file named by `account-password-file`. Without one, a simulation's
    client derives its key from the secret file named by `simulation-keys` in the run config or in
    the message's config, and from its `partition-id`.

    Raises:
        ConfigError: neither is configured.
        AccountError: the keystore, its password or the secret file cannot be used.
    """
    keystore = context.node_config.get("account")
    if keystore is not None:
        return _from_keystore(str(keystore), context.node_config.get("account-password-file"), disk)
    return _from_secret(*_simulated(message, context), disk)


def journal_of(message: Message, context: Context, request: SigningRequest, disk: Disk) -> Journal:
    """Return this client's journal: beside its keystore, or beside a simulation's secret file.

    A simulation's clients take part in as many ledgers and tasks as its cells have, so they have a
    journal for each ledger, sign for every task, and pay with what a development chain gives away.

    Raises:
        ConfigError: a value of the node config is none (`limits_of`), or the client has no account.
    """
    limits = limits_of(context.node_config)
    place, durable = place_of(message, context, request)
    if durable:
        path = place.with_name(f"{place.name}.journal")
    else:
        path = place.with_name(f"{place.name}.json")
        limits["pins"] = {"task": ANY, **limits["pins"]}
        limits["max_fees"] = max(limits["max_fees"], _NO_LIMIT)
    return Journal(path, disk, durable=durable, **limits)


def limits_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a device's node config says of its journal, as `Journal` takes it.

    It may pin what it signs for, by `ledger-chain-id`, `ledger-contract` and `ledger-task` (a
    number, or "any"); say in `max-fee` and `max-gas` how many wei and how much gas a call may cost
    at most, in `max-fees` how many wei all calls of a task; and say with
    `ledger-headers="unchecked"` that it believes the server where headers cannot be checked.

    Raises:
        ConfigError: a value is none.
    """
    names: Mapping[str, Callable[[Any], Any]] = {
        "chain-id": int,
        "contract": checksum_address,
        "task": lambda value: ANY if value == ANY else int(value),
    }
    numbers = {"max-fee": MAX_FEE, "max-fees": MAX_FEES, "max-gas": MAX_GAS}
    try:
        pins = {
            name: kind(value)
            for name, kind in names.items()
            if (value := config.get(f"ledger-{name}")) is not None
        }
        most = {
            name.replace("-", "_"): int(config.get(name, default))
            for name, default in numbers.items()
        }
    except (TypeError, ValueError) as error:
        raise ConfigError(f"node config: ledger pins and limits: {error}") from error
    headers = config.get("ledger-headers", HEADERS[0])
    if headers not in HEADERS:
        raise UnknownNameError("value of ledger-headers", str(headers), HEADERS)
    return {"pins": pins, **most, "unchecked": headers == HEADERS[1]}


def place_of(message: Message, context: Context, request: SigningRequest) -> tuple[Path, bool]:
    """Return beside which path a client's files lie, and whether they have to last.

    Raises:
        ConfigError: the client has no account.
    """
    keystore = context.node_config.get("account")
    if keystore is not None:
        return keystore_path(str(keystore)), True  # by its name it is the same one from everywhere
    secret, partition = _simulated(message, context)
    return simulated_place(Path(secret), request.chain_id, request.contract, partition), False


def simulated_place(secret: Path, chain_id: int, contract: str, partition: int) -> Path:
    """Return beside which path the files of a simulation's client lie.

    Args:
        secret: the file of the simulation's keys.
        chain_id: EIP-155 id of the chain.
        contract: address of the TrainingTask contract.
        partition: the client's number.
    """
    return secret.parent / "journals" / f"{chain_id}-{contract}" / str(partition)


def salt_of(message: Message, context: Context, account: Account, domain: Domain) -> bytes:
    """Return a client's salt for a round: 32 secret bytes of its account.

    A simulation has to be repeatable, so its clients may take their salts from the text under
    `simulation-salts` in the run config or in the message's config instead. Who reads it knows
    them; a client with a keystore never looks there.
    """
    if context.node_config.get("account") is None:
        seed = told(message, context, "simulation-salts")
        if seed is not None:
            partition = context.node_config.get("partition-id")
            place = f"{partition}/{domain.task}/{domain.round}"
            return hmac.new(str(seed).encode(), place.encode(), hashlib.sha256).digest()
    return account.secret(salt_purpose(domain))


def told(message: Message, context: Context, key: str) -> object:
    """Return what the run config, or else the message's config, says under a key, or None."""
    found: object = context.run_config.get(key)
    if found is None and CONFIG in message.content.config_records:
        found = message.content.config_records[CONFIG].get(key)
    return found


def _simulated(message: Message, context: Context) -> tuple[str, int]:
    """Return a simulation's secret file and the client's partition."""
    keys = told(message, context, "simulation-keys")
    partition = context.node_config.get("partition-id")
    if keys is None or partition is None:
        raise ConfigError(
            'this client has no account: set account="/path/keystore.json" in its node config '
            "(make one with `fedledger account create`), or simulation-keys in a simulation"
        )
    return str(keys), int(partition)


@lru_cache(maxsize=4)
def _from_keystore(path: str, password_file: object, disk: Disk) -> Account:
    if password_file is None:
        password = os.environ.get(PASSWORD_VARIABLE)
        if password is None:
            raise AccountError(
                f"keystore {path}: no password: set {PASSWORD_VARIABLE} or account-password-file"
            )
    else:
        password = read_password(Path(str(password_file)), disk=disk)
    return load_account(path, password, disk=disk)


@lru_cache(maxsize=4096)
def _from_secret(path: str, partition: int, disk: Disk) -> Account:
    return SimulationKeys(Path(path), disk).account(partition)
