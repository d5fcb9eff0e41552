"""Clients change on a real Ethereum node, and while it reorganises."""

from urllib.parse import quote

import pytest
from support.anvil import Anvil
from support.federation import Federation, make_app

from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import Membership, TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.strategies import audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence


@pytest.fixture
def anvil_run(tmp_path):
    """Seven clients and one more, on an anvil of their own."""
    federation = Federation(tmp_path, size=8)
    federation.ledger.close()
    with Anvil(tmp_path) as node:
        place = quote(str(tmp_path / "deployment.json"))
        url = f"ethereum+{node.url}?deployment={place}"
        deploy(url)
        federation.ledger = open_ledger(url)
        yield federation, node
        federation.ledger.close()
    federation.store.close()


def listed(federation):
    found = TrainingTask(federation.ledger).aggregates(1)
    evidence = [documents.load(Evidence, one.evidence, federation.store) for one in found]
    return [[entry.party for entry in one.phase("update").accepted] for one in evidence]


@pytest.mark.parametrize("reorganised", [False, True])
def test_clients_change_on_a_node(anvil_run, reorganised):
    """One leaves and one joins while round 1 is open; the audit passes, whatever block holds it.

    The reorganisation comes while round 2 is open, and takes the changes, the publication before it
    and what came since: all of it is sent again, in an order that is the node's.
    """
    federation, node = anvil_run
    decides, server = Membership(federation.ledger), federation.server
    done, clients = [], federation.clients
    before = []

    def measure(number, _arrays):
        if number == 1:
            before.append(federation.ledger.head().block)
            decides.join(federation.keys.account(7), task=1)
            decides.admit(server, task=1, account=clients[7])
            decides.leave_task(federation.keys.account(0), task=1)
        return {}

    def shake(reply, message, _context):
        number = message.content.config_records["config"].get("server-round")
        if reorganised and number == 2 and not done:
            done.append(True)
            depth = federation.ledger.head().block - before[0]
            node.rpc("anvil_reorg", depth, [])
        return reply

    strategy = federation.pofl(clients=clients[:7], membership="owner", measure=measure)
    federation.run(strategy, make_app(before_signing={3: shake}), rounds=3)
    assert done == [True] * reorganised
    last = listed(federation)[-1]
    assert last == [*clients[1:7], clients[7]]
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
