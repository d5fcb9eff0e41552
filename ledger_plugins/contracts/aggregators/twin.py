"""Aggregators' twin: several nodes that publish a task's rounds, in turns.

Storage: ("terms", task): bond, cost, turn's seconds; ("node", task, node): bond, leaves_at;
("nodes", task) and ("listed", task): accounts; ("taken", task): how many draws; ("drawn", task):
those that count, each the fields of `Drawn`; ("led", task, round): one more than the turn in which
it was published; ("missed", task, round, node): 1.
"""

# ruff: noqa: N802, N803, PLR0917 - the names and arguments are the ABI's

from collections.abc import Sequence
from typing import NamedTuple

from eth_abi.abi import encode
from eth_hash.auto import keccak

from ..twin import Twin
from .turns import order_of

__all__ = ["LEAVE_SECONDS", "MAX_NODES", "PAUSED", "Aggregators", "topic_of"]

MAX_NODES = 32
"""The most nodes of a task (clause L9)."""

LEAVE_SECONDS = 86_400
"""Seconds between a node's word that it leaves, and its bond."""


PAUSED = (1 << 64) - 1
"""When the turns of a halted task begin, until somebody lets them begin again."""


def topic_of(number: int) -> bytes:
    """Return the topic of a task's draw of turns with a number from 1, 32 bytes."""
    return keccak(encode(["string", "uint256"], ["fedledger turns", number]))


class Drawn(NamedTuple):
    """A draw in effect from `first_round` on; its turns begin at `since` at the earliest."""

    draw: int
    first_round: int
    since: int
    value: bytes
    nodes: tuple[str, ...]


class Aggregators(Twin):
    """Several nodes that publish a task's rounds, in turns."""

    contract = "Aggregators"

    def setTurns(self, task: int, bond: int, cost: int, turnSeconds: int) -> None:
        """Let a task's rounds be published in turns."""
        if self.sender != self._roles(task)[0]:
            self.revert("NotTurnsOwner", sender=self.sender)
        if self.turnTerms(task)[2]:
            self.revert("TurnsFixed", task=task)
        ended = self._progress(task)[1]
        if ended:
            self.revert("TurnsTooLate", task=task, ended=ended)
        good = {"bond": bond > 0, "cost": cost <= bond, "turnSeconds": turnSeconds > 0}
        for term, fine in good.items():
            if not fine:
                self.revert("InvalidTurns", term=term)
        self.state["terms", task] = (bond, cost, turnSeconds)
        self.emit("TurnsSet", task=task, bond=bond, cost=cost, turnSeconds=turnSeconds)

    def joinTurns(self, task: int) -> None:
        """Lock the sender's bond, for the turns of later draws."""
        self._check_goes_on(task)
        if self.nodeOf(task, self.sender)[0]:
            self.revert("AlreadyJoined", node=self.sender)
        nodes = self.nodesOf(task)
        if len(nodes) == MAX_NODES:
            self.revert("TooManyNodes", maximum=MAX_NODES)
        self._check_answers(task, self.sender)
        bond = self.turnTerms(task)[0]
        self.state["node", task, self.sender] = (bond, 0)
        self.state["nodes", task] = (*nodes, self.sender)
        self.emit("NodeJoined", task=task, node=self.sender, bond=bond)
        self.peer("Bonds").lock(self.sender, _purpose(task), bond)

    def leaveTurns(self, task: int) -> None:
        """Say that the sender leaves, or give it its bond back."""
        bond, leaves = self._joined(task, self.sender)
        if not leaves:
            leaves = self.now + LEAVE_SECONDS
            self.state["node", task, self.sender] = (bond, leaves)
            self.emit("NodeLeaving", task=task, node=self.sender, leavesAt=leaves)
            return
        if self.now < leaves:
            self.revert("LeaveTooEarly", earliest=leaves, time=self.now)
        self._remove(task, self.sender)
        self.emit("NodeLeft", task=task, node=self.sender, bond=bond)
        self.peer("Bonds").release(self.sender, _purpose(task), bond)

    def listNodes(self, task: int) -> None:
        """List the nodes that the next draw is among."""
        self._check_goes_on(task)
        draw = self.peer("Beacon").drawOf(task, topic_of(self.drawsTaken(task) + 1))
        if draw:
            self.revert("NextDrawOpened", task=task, draw=draw)
        reports = self.peer("Reports")
        nodes = [one for one in self.nodesOf(task) if not self.nodeOf(task, one)[1]]
        nodes = [one for one in nodes if not reports.excluded(task, one)]
        if not nodes:
            self.revert("NobodyJoined", task=task)
        listed = tuple(sorted(nodes, key=str.lower))
        self.state["listed", task] = listed
        self.emit("NodesListed", task=task, nodes=listed)

    def drawTurns(self, task: int) -> None:
        """Take the next draw."""
        ended = self._check_goes_on(task)
        number = self.drawsTaken(task) + 1
        beacon = self.peer("Beacon")
        draw = beacon.drawOf(task, topic_of(number))
        if not draw:
            self.revert("NextDrawMissing", task=task, topic=topic_of(number))
        value, void = beacon.valueOf(draw)
        nodes = () if void else self.listedFor(task)
        self.state.pop(("listed", task), None)
        self.state["taken", task] = number
        drawn = self._all_drawn(task)
        first_round = 0
        if nodes:
            aggregator = self._roles(task)[1]
            if not drawn and aggregator == self.environment.addresses["Reports"]:
                self.revert("TurnsHalted", task=task, aggregator=aggregator)
            first_round = ended + 2 if drawn else ended + 1
            new = Drawn(draw, first_round, self.now, value, nodes)
            self._put(task, (*drawn, new))
        self.emit(
            "TurnsDrawn", task=task, draw=draw, firstRound=first_round, value=value, nodes=nodes
        )
        if nodes and not drawn:
            self.peer("TrainingTask").appointAggregator(task, self.address)

    def publishTurn(
        self,
        task: int,
        number: int,
        cid: bytes,
        rule: str,
        contributors: Sequence[str],
        evidence: bytes,
        commitments: Sequence[Sequence[bytes]],
    ) -> None:
        """Publish the open round, as the node whose turn it is."""
        open_round = self._progress(task)[1] + 1
        drawn = self._drawn_for(task, open_round)
        begins, seconds = self._begins(task, drawn), self.turnTerms(task)[2]
        turn = max(0, self.now - begins) // seconds
        order = order_of(drawn.value, task, open_round, drawn.nodes)
        holder = order[turn % len(order)]
        if self.sender != holder:
            until = begins + (turn + 1) * seconds
            self.revert("NotItsTurn", sender=self.sender, holder=holder, until=until)
        self._joined(task, self.sender)
        self._check_answers(task, self.sender)
        self.state["led", task, number] = turn + 1
        self.emit("RoundLed", task=task, round=number, node=self.sender, turn=turn)
        self.peer("TrainingTask").publishAggregate(
            task, number, cid, rule, contributors, evidence, commitments
        )

    def restartTurns(self, task: int) -> None:
        """Pause the turns of a halted task, or let them begin again."""
        rounds, ended, _, _ = self._progress(task)
        if ended == rounds:
            self.revert("RoundsOver", task=task)
        drawn = self._drawn_for(task, ended + 1)
        since = PAUSED
        if self._roles(task)[1] == self.address:
            if drawn.since != PAUSED:
                self.revert("TurnsGoOn", task=task)
            since = self.now
        new = drawn._replace(since=since)
        self._put(task, tuple(new if one == drawn else one for one in self._all_drawn(task)))
        self.emit("TurnsRestarted", task=task, round=ended + 1, since=since)

    def markMissed(self, task: int, number: int, node: str) -> None:
        """Charge a node whose first turn in a round passed."""
        ended = self._progress(task)[1]
        drawn = self._drawn_for(task, number)
        if self.missed(task, number, node):
            self.revert("AlreadyMissed", round=number, node=node)
        order = order_of(drawn.value, task, number, drawn.nodes)
        if node not in order:
            self.revert("NotInOrder", node=node)
        place = order.index(node)
        reached = int(self.state.get(("led", task, number), 0)) - 1
        if reached < 0:
            if number != ended + 1:
                self.revert("TurnUnknown", task=task, round=number)
            aggregator = self._roles(task)[1]
            if aggregator != self.address:
                self.revert("TurnsHalted", task=task, aggregator=aggregator)
            reached = max(0, self.now - self._begins(task, drawn)) // self.turnTerms(task)[2]
        if reached <= place:
            self.revert("TurnNotOver", node=node, place=place, reached=reached)
        bond, leaves = self._joined(task, node)
        lost = min(self.turnTerms(task)[1], bond)
        self.state["missed", task, number, node] = 1
        self.state["node", task, node] = (bond - lost, leaves)
        if bond == lost:
            self._remove(task, node)
        self.emit("TurnMissed", task=task, round=number, node=node, lost=lost)
        if lost:
            bonds = self.peer("Bonds")
            bonds.slash(node, _purpose(task), [bonds.address], [lost])

    def turnTerms(self, task: int) -> tuple[int, int, int]:
        """Return a task's terms; zeros without."""
        bond, cost, seconds = self.state.get(("terms", task), (0, 0, 0))
        return int(bond), int(cost), int(seconds)

    def nodesOf(self, task: int) -> tuple[str, ...]:
        """Return the nodes of a task."""
        return tuple(self.state.get(("nodes", task), ()))

    def nodeOf(self, task: int, node: str) -> tuple[int, int]:
        """Return what is left of a node's bond, and when it leaves."""
        bond, leaves = self.state.get(("node", task, node), (0, 0))
        return int(bond), int(leaves)

    def listedFor(self, task: int) -> tuple[str, ...]:
        """Return the nodes that are listed for the next draw."""
        return tuple(self.state.get(("listed", task), ()))

    def turnsOf(self, task: int, number: int) -> tuple[int, int, tuple[str, ...]]:
        """Return draw, begin and order of a round's turns."""
        rounds, ended, _, _ = self._progress(task)
        drawn = self._drawn_for(task, number)
        is_open = ended != rounds and number == ended + 1
        order = order_of(drawn.value, task, number, drawn.nodes)
        return drawn.draw, self._begins(task, drawn) if is_open else 0, tuple(order)

    def drawsTaken(self, task: int) -> int:
        """Return how many draws were taken."""
        return int(self.state.get(("taken", task), 0))

    def topicOf(self, number: int) -> bytes:
        """Return the topic of a draw."""
        return topic_of(number)

    def missed(self, task: int, number: int, node: str) -> bool:
        """Tell whether a node was charged for a round."""
        return ("missed", task, number, node) in self.state

    def MAX_NODES(self) -> int:
        """Return how many nodes a task has at most."""
        return MAX_NODES

    def LEAVE_SECONDS(self) -> int:
        """Return after how many seconds a bond comes back."""
        return LEAVE_SECONDS

    def _progress(self, task: int) -> tuple[int, int, int, int]:
        rounds, ended, window, opened_at = self.peer("TrainingTask").getProgress(task)
        return rounds, ended, window, opened_at

    def _roles(self, task: int) -> tuple[str, str]:
        owner, aggregator, _ = self.peer("TrainingTask").getRoles(task)
        return owner, aggregator

    def _all_drawn(self, task: int) -> tuple[Drawn, ...]:
        return tuple(Drawn(*one) for one in self.state.get(("drawn", task), ()))

    def _put(self, task: int, drawn: Sequence[Drawn]) -> None:
        self.state["drawn", task] = tuple(tuple(one) for one in drawn)

    def _drawn_for(self, task: int, number: int) -> Drawn:
        found = [one for one in self._all_drawn(task) if one.first_round <= number]
        if not found:
            self.revert("NotDrawn", task=task, round=number)
        return found[-1]

    def _begins(self, task: int, drawn: Drawn) -> int:
        _, _, window, opened_at = self._progress(task)
        return max(opened_at + window, drawn.since)

    def _joined(self, task: int, node: str) -> tuple[int, int]:
        bond, leaves = self.nodeOf(task, node)
        if not bond:
            self.revert("NotJoined", node=node)
        return bond, leaves

    def _remove(self, task: int, node: str) -> None:
        """Take a node off; the last one has its place, as on an EVM."""
        del self.state["node", task, node]
        nodes = list(self.nodesOf(task))
        nodes[nodes.index(node)] = nodes[-1]
        self.state["nodes", task] = tuple(nodes[:-1])

    def _check_goes_on(self, task: int) -> int:
        rounds, ended, _, _ = self._progress(task)
        if not self.turnTerms(task)[2]:
            self.revert("NoTurns", task=task)
        if ended == rounds:
            self.revert("RoundsOver", task=task)
        return ended

    def _check_answers(self, task: int, node: str) -> None:
        reports = self.peer("Reports")
        if not reports.getPledge(task, node).amount:
            self.revert("NoPledge", node=node)
        if reports.excluded(task, node):
            self.revert("ExcludedNode", node=node)


def _purpose(task: int) -> bytes:
    return task.to_bytes(32, "big")
