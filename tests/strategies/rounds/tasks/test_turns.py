"""Several nodes run one task: whose turn it is publishes, and the next one takes over."""

import dataclasses

import pytest
from support.clock import Clock
from support.federation import Federation, make_app
from support.turns import BOND, COST, Nodes

from fedledger.effects import Effects
from fedledger.errors import ConfigError, ContractError
from fedledger.ledger_plugins.contracts import Aggregators, Reports, TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.strategies import audit_ledger

SECONDS = 100
ROUNDS = 4


class Turning(Federation):
    """A task of an owner, which three nodes publish; time passes when somebody waits.

    Attributes:
        clock: the ledger's and the nodes'.
        owner: proposed the task.
        nodes: what is known of the nodes.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledger.close()
        self.clock = Clock(1_800_000_000.0)
        self.owner = self.keys.account("owner")
        url, admin = f"local://{self.path}/timed.db", self.owner.address
        self.ledger = open_local_ledger(url, clock=self.clock, admin=admin, chain_id=4242)
        three = [self.keys.account(f"node {number}") for number in range(3)]
        self.nodes = Nodes(self.ledger, self.owner, three, self.clock)
        self.contract = Aggregators(self.ledger)
        self.tasks = TrainingTask(self.ledger)

    def begin(self) -> None:
        """Propose the task, and give it nodes; no round is published yet."""
        strategy = self.strategy(self.owner)

        def stop(*_arguments):
            raise _Ended

        with pytest.raises(_Ended), pytest.MonkeyPatch.context() as patch:
            patch.setattr(strategy, "configure_train", stop)
            self.run(strategy, make_app(), ROUNDS)
        self.nodes.begin(SECONDS)

    def strategy(self, account):
        effects = dataclasses.replace(Effects.real(), clock=self.clock)
        return self.pofl(account=account, owner=self.owner.address, effects=effects)

    def until(self, account, last):
        """Run the task as a node; it is killed after a round."""

        def end(number, _arrays):
            if number == last:
                raise _Ended

        with pytest.raises(_Ended):
            self.run(self.strategy(account), make_app(), ROUNDS, evaluate_fn=end)


class _Ended(BaseException):
    """Stands for a process ending: nothing may catch it."""


@pytest.fixture
def turning(tmp_path):
    federation = Turning(tmp_path)
    federation.begin()
    yield federation
    federation.close()


def test_another_node_takes_over_from_a_leader_that_is_killed(turning):
    """Its turn over, the next one publishes; the audit computes whose turn each round was."""
    led = []
    for number in range(1, ROUNDS + 1):
        first, second, _ = turning.nodes.order(number)
        alive = second if number % 2 == 0 else first
        before = turning.clock.now
        turning.until(alive, number)
        assert (turning.clock.now - before > SECONDS - 10) == (alive is second)
        led.append((alive.address, 1 if alive is second else 0))
    assert [(one.node, one.turn) for one in turning.contract.led(1)] == led
    report = audit_ledger(turning.ledger, turning.store)
    assert report.passed, report.reason

    late = turning.nodes.order(2)[0]
    turning.contract.mark_missed(turning.owner, task=1, round=2, node=late.address)
    assert turning.contract.node(1, late.address).bond == BOND - COST
    with pytest.raises(ContractError, match="AlreadyMissed"):
        turning.contract.mark_missed(late, task=1, round=2, node=late.address)
    assert audit_ledger(turning.ledger, turning.store).passed
