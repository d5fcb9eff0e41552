"""A client submits what it trained to the ledger by itself, without a server that asks for it."""

from dataclasses import dataclass, fields

from fedledger.arrays import Layout, from_safetensors, to_safetensors
from fedledger.errors import AccountError, ConfigError

from ..ledger_plugins.accounts import Account
from ..ledger_plugins.base import Ledger, Receipt
from ..ledger_plugins.contracts import TrainingTask
from ..ledger_plugins.contracts.training_task.seals import salt_purpose, seal_of
from ..ledger_plugins.openings import Opening, Pending
from ..ledger_plugins.signing import Domain
from ..ledger_plugins.storage.base import Store
from ..ledger_plugins.storage.cid import cid_of
from .rounds.answers.opened import is_sealed
from .rounds.evidence import documents
from .rounds.evidence.documents import Specification
from .rounds.phase import arrays_cap
from .rounds.tasks.membership import clients_at, who_decides
from .rounds.tasks.task import model_of

__all__ = ["Submitted", "domain_of", "submit_update"]


@dataclass(frozen=True, slots=True)
class Submitted(Receipt):
    """Where a submitted update is, and what it opens to.

    Attributes:
        opening: its opening, which is pending; None where the task's updates are not sealed.
    """

    opening: Opening | None = None


def submit_update(
    ledger: Ledger,
    store: Store,
    account: Account,
    model: bytes,
    *,
    task: int,
    samples: int,
    accuracy: float,
    pending: Pending | None = None,
) -> Submitted:
    """Submit a trained model to the open round of a task: its difference to the current one.

    Args:
        ledger: an open ledger.
        store: the store of the node that the client uses.
        account: a registered client.
        model: the content of a safetensors file with the task's layout.
        task: the task's number.
        samples: training examples behind it.
        accuracy: a fraction from 0 to 1.
        pending: where the update waits until it is opened (`open_pending`), where the task's
            updates are sealed.

    Raises:
        AccountError: the account is none of the task's clients, or `pending` cannot be written;
            nothing is stored or signed.
        ConfigError: updates are sealed, and nobody said where they wait.
        ContractError: the contract refused, as `WindowClosed`; what is pending then is opened all
            the same, and harms nobody.
        ModelError: it is no model of the task's layout.
        NotChecked: the task's specification is not in the store.
        StoreError: the current model is not in the store.
    """
    contract = TrainingTask(ledger)
    now = contract.task(task)
    specification = documents.load(Specification, now.spec, store)
    rule, first = specification.membership, specification.parties.get("clients", [])
    clients = clients_at(ledger, task, first, rule, contract.ended(task))
    if account.address not in clients:
        raise AccountError(
            f"{account.address} is none of the {len(clients)} clients of task {task}: its update "
            f"would not count in the open round. {who_decides(rule, now.owner)}"
        )
    layout = Layout.from_json(specification.layout)
    base = model_of(store, now.current_cid, layout)
    trained = from_safetensors(model, layout=layout, max_bytes=arrays_cap(layout))
    update = to_safetensors(layout.as_float32().unflatten(layout.difference(trained, base)))
    number = now.current_round + 1
    domain = domain_of(ledger, task, number)
    opening = None
    if is_sealed(specification.clock, now.window):
        if pending is None:
            raise ConfigError(
                f"the updates of task {task} are sealed: say where this one waits until the "
                "window is over (`pending`)"
            )
        opening = Opening.of(account, domain, cid_of(update))
        pending.keep(opening, update)
        cid = opening.cid
    else:
        cid = store.put(update)
    receipt = contract.submit_update(
        account,
        task=task,
        round=number,
        cid=cid,
        samples=samples,
        accuracy=accuracy,
        seal=seal_of(account.address, account.secret(salt_purpose(domain))),
    )
    return Submitted(
        **{one.name: getattr(receipt, one.name) for one in fields(Receipt)}, opening=opening
    )


def domain_of(ledger: Ledger, task: int, number: int) -> Domain:
    """Return where statements and openings of a round hold."""
    contract = ledger.terms("TrainingTask", "submitUpdate").to
    return Domain(ledger.chain_id, contract, task, number)
