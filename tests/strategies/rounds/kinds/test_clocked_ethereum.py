"""Direct and relayed clients on a node of Ethereum, which makes a block only for a transaction."""

import dataclasses
from urllib.parse import quote

import pytest
from support.anvil import Anvil
from support.clock import Ahead
from support.federation import Federation, make_app

from fedledger.effects import Effects
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.strategies import LedgerClock, audit_ledger
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence

WINDOW = 600


class NodesTime(Ahead):
    """A clock that puts a node's ahead together with itself."""

    def __init__(self, node):
        super().__init__()
        self.node = node

    def sleep(self, seconds):
        super().sleep(seconds)
        if seconds >= 1:
            self.node.rpc("evm_increaseTime", int(seconds) + 1)


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_direct_and_relayed_clients_on_anvil(tmp_path, sealed):
    """All count, one whose replies are dropped as well where nothing is sealed; it is proved."""
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}?deployment={quote(str(tmp_path / 'deployment.json'))}"
        federation = Federation(tmp_path)
        federation.ledger.close()
        deploy(url, admin=federation.server.address)
        federation.ledger = open_ledger(url)
        own = f"file://{tmp_path}/store"

        def mod(message, context, call_next):
            if context.node_config["partition-id"] in {1, 3}:
                context.node_config |= {"submit": "direct", "ledger": url, "store": own}
            return call_next(message, context)

        def lost(_reply, _message, _context):
            raise RuntimeError("the connection is gone")

        strategy = federation.pofl(
            clock=LedgerClock(sealed=sealed),
            window=None,
            ledger_window=WINDOW,
            rules=("krum", "median"),
            effects=dataclasses.replace(Effects.real(), clock=NodesTime(node)),
        )
        app = make_app(outermost=mod, after_signing={} if sealed else {3: lost})
        federation.run(strategy, app, rounds=2)
        published = TrainingTask(federation.ledger).aggregates(1)
        for one in published:
            evidence = documents.load(Evidence, one.evidence, federation.store)
            assert [len(phase.accepted) for phase in evidence.phases] == [7, 7]
        report = audit_ledger(federation.ledger, federation.store)
        assert report.passed, report.reason
        federation.close()
