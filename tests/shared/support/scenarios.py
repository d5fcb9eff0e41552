"""A scenario of a node network: a list of operations, with what must be true in between.

An operation is a mapping: its first key names it and is its first argument. Nodes, blocks and
transactions have names; a node is opened when it is first named, and block and transaction names
stand for what `mine`, `forge` and `submit` made under them. In a call's arguments "@NAME" is that
account's address and "#TEXT" the CID of a text. `fails` is an error that the operation must raise:
its type, and what `reason`, `field`, `arguments` and the like, or `match` in its message, must be.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest

from fedledger import errors
from fedledger.errors import ContentNotFound, MalformedBlock, StoreUnavailable
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import Ledger, SignedTransaction
from fedledger.ledger_plugins.contracts.twin import ModelInfo
from fedledger.ledger_plugins.local.node.chain import branch, core, pool, waiting
from fedledger.ledger_plugins.local.node.chain.core import Core
from fedledger.ledger_plugins.local.node.chain.envelope import Envelope
from fedledger.ledger_plugins.storage.base import Store
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes

from .cores import ADMIN, BORN, GENESIS, Bench, mine, sealed

Operation = Mapping[str, Any]
Fails = Mapping[str, Any]

LIMITS = {
    "UNDO": branch,
    "PATIENCE": waiting,
    "MAX_SIDE_BLOCKS": core,
    "MAX_SIDE_BYTES": core,
    "MAX_OF_SENDER": pool,
}
VERDICTS = {
    "wrong": MalformedBlock("model_info", "wrong"),
    "full disk": StoreUnavailable("the disk is full"),
    "bug": ValueError("a bug"),
}


class Verifier:
    """Checks a round as the audit does; says what the scenario told it to say."""

    def __init__(self, contents: Sequence[str], verdict: str | None) -> None:
        self.contents = contents
        self.verdict = verdict

    def __call__(self, ledger: Ledger, store: Store, task: int, number: int) -> None:
        for cid in map(cid_of, (text.encode() for text in self.contents)):
            if not store.has(cid):
                raise ContentNotFound(cid)
        if self.verdict is not None:
            raise VERDICTS[self.verdict]
        if ledger.call("TrainingTask", "getTask", task)[4] != number:
            raise MalformedBlock("model_info", "the ledger is not the round's")
        for event in ledger.events("TrainingTask", "UpdateSubmitted"):
            if ledger.transaction(event.transaction).hash != event.transaction:
                raise MalformedBlock("model_info", "the update is another transaction")


class Play:
    """Plays scenarios on cores of one chain.

    Args:
        folder: where the nodes live.
        patch: sets the limits that a scenario asks for, and takes them back.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.bench = Bench(folder)
        self.nodes: dict[str, Core] = {}
        self._patch = patch
        self._verifiers: dict[str, Verifier] = {}
        self._accounts = {"admin": ADMIN}
        self._blocks: dict[str, bytes] = {}
        self._transactions: dict[str, SignedTransaction] = {}
        self._seen: dict[str, tuple[Sequence[bytes], list[bytes]]] = {}

    def play(self, operations: Sequence[Operation]) -> None:
        """Carry the operations out, in order.

        After each of them, what a snapshot said before it still stands in that snapshot.
        """
        for number, operation in enumerate(operations, start=1):
            verb, *_ = operation
            arguments = dict(operation)
            fails = arguments.pop("fails", None)
            try:
                self._do(getattr(self, f"do_{verb}"), fails, arguments.pop(verb), arguments)
                self._look_back()
            except BaseException as error:
                error.add_note(f"operation {number}: {operation}")
                raise

    def close(self) -> None:
        self.bench.close()

    # Nodes -----------------------------------------------------------------------------------

    def do_open(
        self,
        name: str,
        contents: Sequence[str] = (),
        verdict: str | None = None,
        *,
        verified: bool = True,
    ) -> None:
        """Open a node that verifies rounds: with `contents` it misses them until it has them."""
        verifier = Verifier(contents, verdict) if verified else None
        self.nodes[name] = self.bench.core(name, verifier)
        if verifier is not None:
            self._verifiers[name] = verifier

    def do_believe(self, name: str) -> None:
        """Open a node that believes rounds."""
        self.do_open(name, verified=False)

    def do_close(self, name: str) -> None:
        self.node(name).close()

    def do_restart(self, name: str) -> None:
        """Close a node and open it again, with the verifier it had."""
        self.node(name).close()
        self.nodes[name] = self.bench.core(name, self._verifiers.get(name))
        self._seen.pop(name, None)

    def do_tend(self, name: str) -> None:
        self.node(name).tend()

    def do_decide(self, verdict: str | None, node: str) -> None:
        """Change what a node's verifier says."""
        self._verifiers[node].verdict = verdict

    def do_limit(self, limits: Mapping[str, float]) -> None:
        for name, value in limits.items():
            self._patch.setattr(LIMITS[name], name, value)

    def do_wait(self, seconds: float) -> None:
        """Let the nodes' clock move on, or back."""
        self.bench.clock.seconds += seconds

    def do_other_chain(self, born: int) -> None:
        """From now on nodes are opened with another block 0."""
        assert born != BORN
        self.bench.first = Envelope.sign(GENESIS.block(born), None).encode()

    def do_store(self, text: str, node: str) -> None:
        """Put a content into a node's store."""
        self.node(node).store.put(text.encode())

    def do_damage(self, what: str, node: str) -> None:
        """Damage a block on a node's disk; "kept": the transactions that it keeps; "all" blocks."""
        connection = self._file(node)
        if what == "kept":
            connection.execute("UPDATE kept SET raw = x'00'")
        elif what == "all":
            connection.execute("UPDATE block SET data = x'00'")
        else:
            data = self._blocks[what]
            damaged = data[:-1] + bytes([data[-1] ^ 1])
            where = (damaged, block_hash(data))
            connection.execute("UPDATE block SET data = ? WHERE hash = ?", where)
        assert connection.changes() > 0

    def do_lose(self, block: str, node: str) -> None:
        """Delete a block from a node's disk."""
        connection = self._file(node)
        connection.execute("DELETE FROM block WHERE hash = ?", (block_hash(self._blocks[block]),))
        assert connection.changes() == 1

    # Transactions ----------------------------------------------------------------------------

    def do_sign(
        self, name: str, by: str, call: Sequence[Any], nonce: int | None = None
    ) -> SignedTransaction:
        """Sign a call: contract, function, arguments; with the account's next nonce."""
        contract, function, *arguments = call
        values = [self._value(argument) for argument in arguments]
        signed = self.bench.call(self.account(by), contract, function, *values, nonce=nonce)
        self._transactions[name] = signed
        return signed

    def do_submit(self, name: str, to: str, **signing: Any) -> None:
        """Hand a transaction to a node as its client, signed now where `by` and `call` say how."""
        if signing:
            self.do_sign(name, **signing)
        self.node(to).submit(self._transactions[name].raw)

    def do_offer(self, name: str, to: str, *, taken: bool) -> None:
        """Hand a transaction to a node as its peer."""
        assert self.node(to).offer(self._transactions[name].raw) is taken

    # Blocks ----------------------------------------------------------------------------------

    def do_mine(self, node: str, blocks: str | Sequence[str] = "", times: int = 1) -> None:
        """Let a node make blocks and take them; `blocks` names them."""
        for name in [blocks] * times if isinstance(blocks, str) else blocks:
            self._blocks[name] = mine(self.node(node))

    def do_forge(
        self, name: str, on: str, transactions: Sequence[str] = (), *, claim: bool = False
    ) -> None:
        """Make a block on a node's head that the node does not take.

        Args:
            name: of the block.
            on: the node.
            transactions: in it.
            claim: whether it tells of a model that no transaction published.
        """
        model = ModelInfo("m", cid_to_bytes(cid_of(b"")), 1, 1, ADMIN.address, None)
        raws = tuple(self._transactions[one].raw for one in transactions)
        block = sealed(self.node(on), transactions=raws, model_info=(model,) if claim else ())
        self._blocks[name] = Envelope.sign(block, None).encode()

    def do_deliver(
        self, blocks: str | Sequence[str], to: str, outcome: str | Sequence[str] = "added"
    ) -> None:
        """Give a node blocks, one after the other."""
        names = [blocks] if isinstance(blocks, str) else blocks
        found = [self.node(to).accept(self._blocks[name]).name.lower() for name in names]
        assert found == ([outcome] * len(names) if isinstance(outcome, str) else [*outcome])

    def do_sync(self, node: str, to: str | Sequence[str]) -> None:
        """Give other nodes all blocks of a node's main branch."""
        source = self.node(node)
        for other in [to] if isinstance(to, str) else to:
            for block in list(source.snapshot.hashes):
                data = source.envelope(block)
                assert data is not None
                self.node(other).accept(data)

    def do_settle(self, nodes: Sequence[str], blocks: int) -> None:
        """Let all meet: the heaviest branch goes on, and what waits anywhere is offered to it."""
        heaviest = max(nodes, key=lambda name: self.node(name).snapshot.work)
        for _ in range(blocks):
            self.do_mine(heaviest)
            self.do_sync(heaviest, nodes)
            for node in map(self.node, nodes):
                for raw in node.raw(node.pending()):
                    self.node(heaviest).offer(raw)

    # What must be true -----------------------------------------------------------------------

    def do_check(self, node: str, **claims: Any) -> None:
        """Compare what a node says with what it must say; see the methods `is_…`."""
        for name, wanted in claims.items():
            look: Callable[[Core], Any] | None = getattr(self, f"is_{name}", None)
            found = look(self.node(node)) if look else getattr(self.node(node).snapshot, name)
            if name == "head":
                assert found == block_hash(self._blocks[wanted]), f"the head is {self.named(found)}"
            elif name.endswith("_at_most"):
                assert found <= wanted, name
            else:
                assert found == wanted, name

    def do_places(self, node: str, **wanted: str) -> None:
        """Say where transactions are: included, pending, failed or "failed: REASON"."""
        found = {}
        for name, text in wanted.items():
            transaction = self._transactions[name].hash
            place = self.node(node).place(transaction)
            reason = f": {getattr(place.error, 'reason', None)}" if ":" in text else ""
            found[name] = place.state + reason
            if place.state == "included":
                view = self.node(node)._branch.view()
                assert view.transaction(transaction).hash == transaction
        assert found == wanted

    def do_agree(self, nodes: Sequence[str], included: Sequence[str] = ()) -> None:
        """All stand on one head, with one state and history, in which these are included."""
        for one, other in pairwise(map(self.node, nodes)):
            assert one.snapshot.head == other.snapshot.head
            assert self.is_supply(one) == self.is_supply(other)
            assert one._branch.view().events("StakeToken") == (
                other._branch.view().events("StakeToken")
            )
        for node in nodes:
            self.do_places(node, **dict.fromkeys(included, "included"))

    def is_head(self, node: Core) -> bytes:
        return node.snapshot.head

    def is_supply(self, node: Core) -> Any:
        return node._branch.view().call("StakeToken", "totalSupply")

    def is_restless(self, node: Core) -> bool:
        return node.restless()

    def is_pending(self, node: Core) -> list[str]:
        names = {signed.hash: name for name, signed in self._transactions.items()}
        return [names[transaction] for transaction in node.pending()]

    def is_waiting(self, node: Core) -> list[str]:
        """CIDs that it waits for, as the texts of its verifier."""
        texts = {
            cid_of(text.encode()): text
            for verifier in self._verifiers.values()
            for text in verifier.contents
        }
        return [texts[cid] for cid in node.snapshot.waiting]

    def is_blocks_at_most(self, node: Core) -> int:
        return node.snapshot.blocks

    def is_side_bytes_at_most(self, node: Core) -> int:
        return node._tree.bytes - node._branch.bytes

    def is_room(self, node: Core) -> list[float]:
        """Bytes of the main branch and of all branches, counted in empty blocks."""
        size = len(node.envelope(node.snapshot.head) or b"")
        return [node._branch.bytes / size, node._tree.bytes / size]

    # Names -----------------------------------------------------------------------------------

    def node(self, name: str) -> Core:
        if name not in self.nodes:
            self.do_believe(name)
        return self.nodes[name]

    def account(self, name: str) -> Account:
        if name not in self._accounts:
            self._accounts[name] = Account.from_key(name.encode().rjust(32, b"\1"))
        return self._accounts[name]

    def named(self, block: bytes) -> str:
        """Return the name of a block by its hash."""
        names = (name for name, data in self._blocks.items() if block_hash(data) == block)
        return next(names, block.hex())

    def _file(self, name: str) -> apsw.Connection:
        """Return a way to change a node's file behind its back: its own, as nobody else has one."""
        connection: apsw.Connection = self.node(name)._file._connection
        try:
            connection.changes()
        except apsw.ConnectionClosedError:
            return apsw.Connection(str(self.bench.folder / f"{name}.db"))
        return connection

    def _value(self, argument: Any) -> Any:
        if isinstance(argument, str) and argument.startswith("@"):
            return self.account(argument[1:]).address
        if isinstance(argument, str) and argument.startswith("="):
            return argument[1:].encode().ljust(32, b"\0")
        if isinstance(argument, str) and argument.startswith("#"):
            return cid_to_bytes(cid_of(argument[1:].encode()))
        return argument

    # How it is played ------------------------------------------------------------------------

    def _do(
        self,
        verb: Callable[..., object],
        fails: Fails | None,
        first: Any,
        arguments: dict[str, Any],
    ) -> None:
        if fails is None:
            verb(first, **arguments)
            return
        wanted = dict(fails)
        kind, text = wanted.pop("error"), wanted.pop("match", "")
        with pytest.raises(getattr(errors, kind), match=re.escape(text) or None) as caught:
            verb(first, **arguments)
        for name, value in wanted.items():
            found = getattr(caught.value, name)
            if name == "arguments":  # those named, of several
                found = {key: found[key] for key in value}
            assert found == value, name

    def _look_back(self) -> None:
        for name, node in self.nodes.items():
            if name in self._seen:
                hashes, said = self._seen[name]
                assert list(hashes)[: len(said)] == said, f"a snapshot of {name} has changed"
            now = node.snapshot
            self._seen[name] = now.hashes, list(now.hashes)[: now.index + 1]


def block_hash(envelope: bytes) -> bytes:
    """Return the hash of an envelope's block."""
    return Envelope.decode(envelope).block.header.hash
