"""What clients sign, changed by themselves."""

from fedledger.ledger_plugins.accounts import decode_transaction
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from fedledger.records import LEDGER, SEEN

__all__ = ["resign"]


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
