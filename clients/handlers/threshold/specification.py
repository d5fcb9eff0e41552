"""The specification of a task as a trainer knows it: by its CID, from itself and not the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedledger.errors import AccountError, ConfigError, FedledgerError
from fedledger.formats import parse_json

from ....crypto.threshold import KeyShare, ThresholdKeys
from ....ledger_plugins.base import Ledger
from ....ledger_plugins.contracts import TrainingTask, cid_text
from ....ledger_plugins.contracts.threshold_keys.dealing import context_of
from ....ledger_plugins.contracts.threshold_keys.terms import PROTOCOL, ThresholdTerms
from ....ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from ....ledger_plugins.storage.cid import cid_of, profile_named
from ...direct import ledger_of
from ...identity import limits_of
from ...journal import ANY
from ...phases import Asked

__all__ = ["Known", "check_submitted", "known_of", "share_of"]

TASK = "task"
"""Key in a device's node config: CID of the specification of the task that it trains for."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a trainer knows of its task.

    Attributes:
        terms: the terms.
        trainers: the accounts of all trainers, in their order.
        cid: CID of the specification.
        place: what the task is called where keys are kept for one task.
    """

    terms: ThresholdTerms
    trainers: Sequence[str]
    cid: str
    place: str

    @property
    def keys(self) -> bytes:
        """SHA-256 of the threshold keys."""
        return bytes.fromhex(self.terms.keys)


def known_of(asked: Asked) -> Known:
    """Return what a trainer knows of the task that a message is about.

    The text comes with the message; which text it has to be, the trainer knows by `task=CID` in its
    node config, or by `ledger-task=N` there from its own ledger, or both. A simulation's client,
    whose key lies with the server's, takes the server's word.

    Raises:
        ConfigError: the message has no specification of this protocol, or the trainer knows none.
        AccountError: it is another one than the trainer knows, or it is no trainer of the task.
        LedgerUnavailable: its ledger cannot be reached.
    """
    text = asked.details.get("specification")
    said = _parsed(text)
    cid = cid_of(str(text).encode(), profile_named(str(said.get("profile"))))
    for where, known in _known_cids(asked):
        if known != cid:
            raise AccountError(
                f"the server's task has the specification {cid}, and this trainer's is {known} "
                f"({where}): it neither masks nor opens anything for another one"
            )
    try:
        trainers = [str(one) for one in said["parties"]["clients"]]
        terms = ThresholdTerms.read(said["settings"])
    except (KeyError, TypeError) as error:
        raise ConfigError(f"the message's specification is none of {PROTOCOL}: {error}") from error
    if said.get("protocol") != PROTOCOL or len(set(trainers)) != terms.trainers:
        raise ConfigError(f"the message's specification is none of {PROTOCOL}")
    if asked.account not in trainers:
        raise AccountError(f"{asked.account} is no trainer of the task's specification")
    return Known(terms, trainers, cid, asked.place)


def share_of(asked: Asked, keys: ThresholdKeys) -> KeyShare:
    """Return the trainer's share of the keys.

    Raises:
        AccountError: it keeps none.
        CryptoError: the dealer's envelope or share is not for it.
    """
    context = context_of(asked.domain.chain_id, asked.domain.contract)
    return asked.keyring.share(keys.digest, context)


def check_submitted(asked: Asked, cids: dict[str, str]) -> None:
    """Check a list against the trainer's own ledger, where it has one.

    Args:
        asked: what is asked.
        cids: account to the content that the list names.

    Raises:
        AccountError: the ledger has another submission of an account in this round, or none.
        LedgerUnavailable: it cannot be reached.
    """
    with ledger_of(asked.context) as ledger:
        if ledger is None:
            return
        wanted = {"task": asked.task, "round": asked.round, SUBMIT_UPDATE.party: list(cids)}
        found = {
            str(event.arguments[SUBMIT_UPDATE.party]): cid_text(event.arguments["cid"])
            for event in ledger.matching(SUBMIT_UPDATE.contract, SUBMIT_UPDATE.event, wanted)
        }
    for account, cid in cids.items():
        if found.get(account) != cid:
            raise AccountError(
                f"the list names {cid} of {account}, and this trainer's ledger has "
                f"{found.get(account, 'nothing')} of it in round {asked.round}"
            )


def _known_cids(asked: Asked) -> list[tuple[str, str]]:
    config = asked.context.node_config
    known = []
    if (pinned := config.get(TASK)) is not None:
        known.append(("task in its node config", str(pinned)))
    with ledger_of(asked.context) as ledger:
        if ledger is not None:
            known.append(("its own ledger", _on_ledger(ledger, asked)))
    # A ledger has tasks of anybody's; whose other trainers are all the server's, opens this one's.
    chosen = pinned is not None or (known and limits_of(config)["pins"].get("task", ANY) != ANY)
    if not chosen and config.get("account") is not None:
        raise ConfigError(
            "this trainer does not know by itself which task is its own: set task=CID of the "
            "specification in its node config (`fedledger show task` prints it), or ledger-task=N, "
            "its number on a ledger of its own (ledger=URL)"
        )
    return known


def _on_ledger(ledger: Ledger, asked: Asked) -> str:
    contract = ledger.terms(SUBMIT_UPDATE.contract, SUBMIT_UPDATE.function).to
    if (ledger.chain_id, contract) != (asked.domain.chain_id, asked.domain.contract):
        raise ConfigError("this trainer's own ledger is another one than the server's task is on")
    return TrainingTask(ledger).task(asked.task).spec


def _parsed(text: Any) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except (FedledgerError, TypeError, ValueError) as error:
        raise ConfigError("the message has no specification of the task") from error
    if not isinstance(found, dict):
        raise ConfigError("the message has no specification of the task")
    return found
