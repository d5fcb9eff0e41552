"""From what a user says to a vehicle that runs."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from fedledger.effects import Clock, Effects
from fedledger.errors import ConfigError, LedgerUnavailable, TransactionsLost

from ...clients.device import DEVICE, device_of
from ...clients.identity import limits_of
from ...ledger_plugins import open_ledger, open_store
from ...ledger_plugins.accounts import Account, keystore_path
from ...ledger_plugins.addresses import checksum_address
from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import TrainingTask
from .answering import Between
from .app import VehicleApp, load_vehicle_app, pairs_of
from .malicious import malicious
from .notes import Note, Tell
from .vehicle import Vehicle

__all__ = ["run_vehicle", "task_named"]

_PATIENCE = 20.0
"""Seconds for which a ledger itself asks a node again; longer is the vehicle's business."""

_POLL = 1.0
_LONGEST = 30.0


def run_vehicle(
    folder: Path,
    ledger: str,
    store: str,
    unlock: Callable[[], Account],
    keystore: str,
    *,
    task: int | None,
    name: str | None,
    owner: str | None,
    run_config: Sequence[str],
    node_config: Sequence[str],
    train_config: Sequence[str],
    device: str | None,
    attack: str | None,
    patience: float,
    tell: Tell,
) -> None:
    """Follow a task until it is finished; see `fedledger client run`.

    Args:
        folder: the Flower App's folder.
        ledger: URL of the ledger.
        store: URL of the store.
        unlock: opens the account, once all else is known to be right.
        keystore: its name, or its file's path; what it has to remember lies beside it.
        task: number of the task.
        name: or its name.
        owner: of the task that the name is meant for.
        run_config: KEY=VALUE, changes to the app's run config.
        node_config: KEY=VALUE, the node config.
        train_config: KEY=VALUE, changes to the messages' config.
        device: where to train.
        attack: what a malicious client does.
        patience: seconds for which who does not answer is asked again.
        tell: takes what happens.

    Raises:
        ConfigError: something is wrong with what the user says.
        RunError: this client cannot take part.
        FedledgerError: ledger or store did not answer for too long.
    """
    if (task is None) == (name is None):
        raise ConfigError("which task? Give its --task NUMBER, or its --name")
    if name is None and owner is not None:
        raise ConfigError(f"--owner goes with --name: a number alone says whose task {task} is")
    proposer = None if owner is None else checksum_address(owner)
    app = load_vehicle_app(
        folder,
        run_config=pairs_of("--run-config", run_config),
        node_config=pairs_of("--node-config", node_config)
        | ({} if device is None else {DEVICE: device}),
        train_config=pairs_of("--train-config", train_config),
    )
    effects = Effects.real()
    device_of(app.context(0, 0))  # before anything is signed, asked or waited for
    limits_of(app.node_config)
    account = unlock()
    between = None if attack is None else _attack(attack, app, account, tell)
    clock = effects.clock
    opening = _opened(ledger, clock, patience, tell)
    with opening as opened, open_store(store, account=account) as contents:
        if not opened.shared:
            raise ConfigError(
                f"{opened.url}: no other process can write this ledger while a client has it: a "
                "node's URL is wanted, local+http://HOST:PORT, or one of Ethereum"
            )
        number = task or task_named(
            opened, str(name), proposer, account.address, clock, patience, tell
        )
        vehicle = Vehicle(
            opened,
            contents,
            account,
            app,
            task=number,
            place=keystore_path(keystore),
            effects=effects,
            tell=tell,
            between=between,
            patience=patience,
        )
        with closing(vehicle):
            vehicle.run()


def _attack(text: str, app: VehicleApp, account: Account, tell: Tell) -> Between:
    tell(Note("malicious", f"this client attacks: {text}", {"attack": text}))
    return malicious(text, app, int(account.address, 16))


def _opened(url: str, clock: Clock, patience: float, tell: Tell) -> Ledger:
    """Open a ledger; its node may start after the vehicle.

    Raises:
        LedgerUnavailable: nobody answers for `patience` seconds.
    """
    end, pause = clock.monotonic() + patience, _POLL
    while True:
        try:
            return open_ledger(url, **_options(url))
        except TransactionsLost as error:  # of an earlier process; what is due is sent again
            tell(Note("again", str(error)))
        except LedgerUnavailable as error:
            left = end - clock.monotonic()
            if left <= 0:
                raise
            if pause == _POLL:
                text = f"{error}; it is asked again for {patience:.0f} s"
                tell(Note("waiting", text))
            clock.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST)


def _options(ledger: str) -> dict[str, Any]:
    return {"patience": _PATIENCE} if ledger.startswith("local+http://") else {}


def task_named(  # noqa: PLR0917 - where, what, and for whom
    ledger: Ledger,
    name: str,
    owner: str | None,
    account: str,
    clock: Clock,
    patience: float,
    tell: Tell,
) -> int:
    """Return the number of a task by its name; wait until there is one.

    Args:
        ledger: where it is going to be.
        name: its name.
        owner: who proposes it; None: anybody.
        account: who waits.
        clock: waits.
        patience: seconds for which a ledger that does not answer is asked again.
        tell: takes what happens.

    Raises:
        ConfigError: there are several.
        LedgerUnavailable: nobody answers for `patience` seconds.
    """
    contract = TrainingTask(ledger)
    waited = False
    since: float | None = None
    while True:
        try:
            tasks = [contract.task(number) for number in range(1, contract.count() + 1)]
        except LedgerUnavailable as error:
            if since is None:
                since = clock.monotonic()
                tell(Note("waiting", f"{error}; it is asked again for {patience:.0f} s"))
            if clock.monotonic() - since >= patience:
                raise
            clock.sleep(_POLL)
            continue
        if since is not None:
            tell(Note("again", "it goes on"))
        since = None
        found = [one for one in tasks if one.model_id == name and owner in (None, one.owner)]
        if len(found) > 1:
            listed = ", ".join(f"{one.id} of {one.owner}" for one in found)
            raise ConfigError(
                f"{len(found)} tasks are called {name!r}, {listed}: say which, by --task"
            )
        if found:
            return found[0].id
        if not waited:
            tell(Note("waiting", f"no task is called {name!r} yet; {account} waits for it"))
        waited = True
        clock.sleep(_POLL)
