"""A federation whose rounds several bonded nodes publish, in turns that a draw gives them."""

from collections.abc import Sequence
from typing import Any

from fedledger.effects import Clock
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import Ledger
from fedledger.ledger_plugins.contracts import (
    Aggregators,
    Beacon,
    Bonds,
    Reports,
    StakeToken,
    TrainingTask,
)
from fedledger.ledger_plugins.contracts.beacon.facade import commitment_to

__all__ = ["BOND", "COST", "Nodes"]

BOND, COST = 10, 4


class Nodes:
    """Nodes of task 1, whose owner is the token's administrator.

    Args:
        ledger: the ledger.
        owner: proposed the task, and may mint.
        nodes: the nodes.
        clock: the ledger's; waits until a draw's phases are over.
    """

    def __init__(
        self, ledger: Ledger, owner: Account, nodes: Sequence[Account], clock: Clock
    ) -> None:
        self.ledger, self.owner, self.nodes, self.clock = ledger, owner, nodes, clock
        self.contract = Aggregators(ledger)
        self.by_address = {one.address: one for one in nodes}

    def begin(self, seconds: int) -> None:
        """Set terms, let all nodes join, and draw."""
        self.contract.set_turns(self.owner, task=1, bond=BOND, cost=COST, turn_seconds=seconds)
        TrainingTask(self.ledger).appoint_members(
            self.owner, task=1, members=[one.address for one in self.nodes]
        )
        for one in self.nodes:
            self.join(one)
        self.draw()

    def join(self, node: Account) -> None:
        """Give an account what a node needs, and let it join."""
        StakeToken(self.ledger).mint(self.owner, node.address, 100)
        Bonds(self.ledger).deposit(node, 100)
        Reports(self.ledger).pledge(node, task=1, amount=20)
        self.contract.join_turns(node, task=1)

    def draw(self, *, listed: bool = True, late: Account | None = None) -> None:
        """List the nodes, draw, and take the draw; `late` joins before the value is there."""
        beacon, member = Beacon(self.ledger), self.nodes[0]
        if listed:
            self.contract.list_nodes(self.owner, task=1)
        draw, _ = beacon.open(
            self.owner,
            task=1,
            topic=self.contract.next_topic(1),
            commit_seconds=1,
            fix_seconds=60,
            reveal_seconds=60,
        )
        value = bytes([draw]) * 32
        beacon.commit(member, draw, commitment_to(draw, member.address, value))
        if late is not None:
            self.join(late)
        self.clock.sleep(2)
        beacon.fix(self.owner, draw, bytes(32))
        beacon.reveal(member, draw, value)
        beacon.close(member, draw)
        self.contract.draw_turns(self.owner, task=1)

    def order(self, number: int) -> list[Account]:
        """Return the nodes in the order of a round's turns."""
        return [self.by_address[one] for one in self.contract.turns(1, number).order]

    def free(self, *accounts: Account) -> list[Any]:
        """Return the accounts' free deposits."""
        return [Bonds(self.ledger).free(one.address) for one in accounts]
