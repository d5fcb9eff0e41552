"""Signed calls on their way to a real Ethereum node: what becomes of one harms no other."""

from urllib.parse import quote

import pytest
from support.anvil import Anvil
from support.federation import Federation, make_app

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.strategies import audit_ledger

CHEAT = 2


@pytest.mark.parametrize("block_time", [None, 1])
def test_who_uses_the_nonce_itself_costs_itself_its_say(tmp_path, block_time):
    """A client signs as asked, then sends a call of its own with that nonce before the relay."""
    federation = Federation(tmp_path, size=5, byzantine=1)
    options = ["--block-time", str(block_time)] if block_time else []
    with Anvil(tmp_path, *options) as node:
        url = f"ethereum+{node.url}?deployment={quote(str(tmp_path / 'deployment.json'))}&wait=20"
        deploy(url, admin=federation.server.address)
        with open_ledger(url) as ledger:
            federation.ledger.close()
            federation.ledger = ledger
            account = federation.keys.account(CHEAT)

            def race(reply, message, context):
                data = encode_call("TrainingTask", "confirmHistory", 1, bytes(32))
                terms = ledger.terms("TrainingTask", "confirmHistory")
                nonce = ledger.nonce(account.address)
                signed = account.sign(UnsignedTransaction(terms, nonce, data))
                node.rpc("anvil_setBalance", account.address, hex(10**18))
                node.rpc("eth_sendRawTransaction", "0x" + signed.raw.hex())
                return reply

            strategy = federation.pofl(rules=("median",))
            federation.run(strategy, make_app(after_signing={CHEAT: race}), rounds=2)
            assert TrainingTask(ledger).task(1).finished
            report = audit_ledger(ledger, federation.store)
    assert report.passed, report.reason
    assert [one.record.reasons() for one in report.rounds] == [{"ledger": 1}] * 2
    assert [one.accepted for one in report.rounds] == [4, 4]
