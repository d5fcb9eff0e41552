"""A small federation on a simulated network: a proposer and clients, each with a node of its own.

They are ordinary blocking programs: each of their questions lets the network's time pass until the
answer is there.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from fedledger.arrays import to_safetensors
from fedledger.effects import Effects, Question
from fedledger.errors import FedledgerError, LedgerUnavailable, TransportError

from ...ledger_plugins.accounts import Account
from ...ledger_plugins.contracts import StakeToken, TrainingTask
from ...ledger_plugins.local.node.http.remote import NodeLedger
from ...strategies.audit import audit_ledger
from ...strategies.mining import propose_task, submit_update
from .machine import Machine
from .values import SeededEntropy

__all__ = ["Federation", "StandstillError"]

_R = TypeVar("_R")
_PATIENCE = 200.0
_LONGEST = 900.0
_MODEL = {"w": np.zeros((3, 2), dtype=np.float32), "b": np.ones(3, dtype=np.float32)}


def _hash(block: str | bytes) -> str:
    return block if isinstance(block, str) else "0x" + block.hex()


class StandstillError(Exception):
    """Something that has to happen does not, although all is well again."""


class Federation:
    """Owner and clients.

    Args:
        machines: the nodes.
        effects: of those who ask them.
        entropy: chooses the nodes and the updates, and makes the keys.
        note: takes a line of the trace.
    """

    def __init__(
        self,
        machines: Sequence[Machine],
        effects: Effects,
        entropy: SeededEntropy,
        note: Callable[[str, str], object],
    ) -> None:
        self.owner = Account.from_key(entropy.draw(32))
        self.clients = [Account.from_key(entropy.draw(32)) for _ in range(5)]
        self._machines = machines
        self._effects = effects
        self._entropy = entropy
        self._note = note
        self._ledgers: dict[str, NodeLedger] = {}
        self._trained: dict[str, bytes] = {}

    def ledger(self, machine: Machine) -> NodeLedger:
        """Return the ledger that a node serves; it is opened as soon as the node answers."""

        def opened() -> NodeLedger:
            return NodeLedger(machine.url, _PATIENCE, self._effects)

        if machine.name not in self._ledgers:
            self._ledgers[machine.name] = self._until(f"opening {machine.name}", opened)
        return self._ledgers[machine.name]

    def close(self) -> None:
        """Close the ledgers."""
        for ledger in self._ledgers.values():
            ledger.close()
        self._ledgers.clear()

    def mint(self, users: Sequence[Account], amount: int) -> None:
        """Give users tokens."""
        token = StakeToken(self.ledger(self._machines[0]))

        def minted(user: Account) -> None:
            # After a reorganisation the call before may wait again, with the nonce of this one.
            if not token.balance(user.address):
                token.mint(self.owner, user.address, amount)

        for user in users:
            self._until("minting", partial(minted, user))

    def propose(self, rounds: int) -> int:
        """Propose a task through the first node."""
        machine = self._machines[0]

        def proposed() -> int:
            return propose_task(
                self.ledger(machine),
                machine.store(),
                self.owner,
                to_safetensors(_MODEL),
                model_id="lights",
                clients=[client.address for client in self.clients],
                rounds=rounds,
                byzantine=1,
                rules=("trimmed_mean", "median"),
                selection="timestamp",
                window=0,
            )

        return self._until("proposing", proposed)

    def submit(self, task: int, number: int) -> None:
        """Let every client submit an update to a round, each through a node of its choice."""
        for index, client in enumerate(self.clients):
            machine = self._machines[self._entropy.below(len(self._machines))]
            shift = np.float32(number + self._entropy.uniform() / 10)
            model = to_safetensors({key: array + shift for key, array in _MODEL.items()})
            self._trained[client.address] = model
            self._note(f"client {index}", f"submits to round {number} through {machine.name}")
            submitting = partial(self._submit, machine, client, model, task, number)
            self._until(f"client {index}, round {number}", submitting)

    def _submit(
        self, machine: Machine, client: Account, model: bytes, task: int, number: int
    ) -> None:
        ledger = self.ledger(machine)
        contract = TrainingTask(ledger)
        now = contract.task(task)
        if now.current_round >= number or any(
            one.client == client.address for one in contract.submitted(task, number)
        ):
            return
        if now.current_round < number - 1:
            raise LedgerUnavailable(f"{machine.name} has not seen round {number - 1} yet")
        for cid in (now.spec, now.current_cid):
            self._fetch(cid, machine)
        submit_update(ledger, machine.store(), client, model, task=task, samples=10, accuracy=0.5)

    def _fetch(self, cid: str, machine: Machine) -> None:
        """Bring a content to a node's store from whatever node has it.

        Raises:
            LedgerUnavailable: none answers with it.
        """
        store = machine.store()
        if store.has(cid):
            return
        for other in self._machines:
            try:
                answer = self._effects.transport.line(other.url).ask(
                    Question(method="GET", path=f"/content/{cid}", most=1 << 20)
                )
            except TransportError:
                continue
            if answer.status == 200 and store.put(answer.body) == cid:
                return
        raise LedgerUnavailable(f"no node answers with {cid}")

    def wait_for_round(self, task: int, number: int) -> None:
        """Wait until a round has ended for the first node."""

        def ended() -> None:
            contract = TrainingTask(self.ledger(self._machines[0]))
            if contract.task(task).current_round < number:
                self._sign_again(task, number)
                raise LedgerUnavailable("the round is still open")

        self._until(f"the end of round {number}", ended)

    def _sign_again(self, task: int, number: int) -> None:
        """Let clients submit again whose calls name a block that a deep reorganisation took away.

        Such a call is dropped, and a round with too many of them stays open for better ones.
        """
        machine = self._machines[0]
        ledger = self.ledger(machine)
        seen = {one.client: one.seen for one in TrainingTask(ledger).submitted(task, number)}
        for index, client in enumerate(self.clients):
            block = seen.get(client.address)
            if block is not None and ledger.index_of(_hash(block)) is None:
                self._note(f"client {index}", f"signs for round {number} again: {_hash(block)}")
                model = self._trained[client.address]
                now = TrainingTask(ledger).task(task)
                for cid in (now.spec, now.current_cid):
                    self._fetch(cid, machine)
                submit_update(
                    ledger, machine.store(), client, model, task=task, samples=10, accuracy=0.5
                )

    def audit(self, machine: Machine) -> str:
        """Audit what a node serves with what it stores; return what the audit says."""
        report = audit_ledger(self.ledger(machine), machine.store())
        rounds = ", ".join(verdict.aggregate for verdict in report.rounds)
        return f"{'passed' if report.passed else f'FAILED: {report.reason}'} ({rounds})"

    def _until(self, what: str, action: Callable[[], _R]) -> _R:
        """Try again until it works.

        Raises:
            StandstillError: it still does not.
        """
        clock = self._effects.clock
        end = clock.monotonic() + _LONGEST
        while True:
            try:
                return action()
            except FedledgerError as error:
                if clock.monotonic() > end:
                    raise StandstillError(f"{what}: {error}") from error
                self._note("driver", f"{what}: {type(error).__name__}: {error}")
            clock.sleep(2.0)
