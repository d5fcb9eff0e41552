"""Evidence of rounds, and what clients sign, changed by themselves."""

from fedledger.ledger_plugins.accounts import decode_transaction
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from fedledger.records import LEDGER, SEEN
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

__all__ = ["accepted_in", "all_evidence", "evidence_of", "resign"]


def all_evidence(federation, task=1):
    """Return the evidence of each round that ended, in their order.

    Args:
        federation: has a ledger and a store.
        task: of which task.
    """
    ended = TrainingTask(federation.ledger).aggregates(task)
    return [documents.load(Evidence, one.evidence, federation.store) for one in ended]


def evidence_of(federation, number=-1):
    """Return the evidence of a round of task 1, by its number from 1; -1: of the newest."""
    ended = TrainingTask(federation.ledger).aggregates(1)
    published = ended[number - 1 if number > 0 else number]
    return documents.load(Evidence, published.evidence, federation.store)


def accepted_in(federation):
    """Return how many answers counted: of each round a list, of each of its phases a number."""
    return [[len(phase.accepted) for phase in one.phases] for one in all_evidence(federation)]


def resign(federation, number, seen):
    """Return what makes client `number` sign its updates for another block."""
    account = federation.keys.account(number)

    def change(reply, message, context):
        record = reply.content.config_records[LEDGER]
        if record["phase"] != "update":
            return reply
        signed = decode_transaction(record["transactions"][0]).unsigned
        values = SUBMIT_UPDATE.decode(signed.data) | {SEEN: seen}
        again = UnsignedTransaction(signed.terms, signed.nonce, SUBMIT_UPDATE.encode(values))
        record["transactions"] = [account.sign(again).raw]
        return reply

    return change
