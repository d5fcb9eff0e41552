"""Nodes without a network: cores that exchange blocks by hand, in milliseconds."""

import time
from pathlib import Path
from typing import Any

from fedledger.effects.real import SystemClock, SystemDisk
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import CallTerms, SignedTransaction, UnsignedTransaction
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.contracts.twin import ModelInfo
from fedledger.ledger_plugins.local.chain.block import Block, seal
from fedledger.ledger_plugins.local.chain.directory import contract_address
from fedledger.ledger_plugins.local.chain.genesis import Genesis
from fedledger.ledger_plugins.local.node.chain.core import Core
from fedledger.ledger_plugins.local.node.chain.envelope import Envelope
from fedledger.ledger_plugins.local.node.chain.leader import LeaderRule, Work

ADMIN = Account.from_key(b"\1" * 32)
GENESIS = Genesis.new(7, 2**254, ADMIN.address)
BORN = int(time.time() * 1000) - 1_000_000
SIGNED = ADMIN.sign(UnsignedTransaction(CallTerms(7, "0x" + "11" * 20), 3, b"data" * 9)).raw
BLOCK = seal(
    index=4,
    previous_hash=bytes(32),
    timestamp=9,
    transactions=(SIGNED, SIGNED),
    model_info=(ModelInfo("m", b"\1" * 36, 2, 1, ADMIN.address, 5),),
    difficulty=GENESIS.difficulty,
)


class Clock(SystemClock):
    """A wall clock that goes on when the test says so, and a little when it is looked at."""

    def __init__(self) -> None:
        self.seconds = BORN / 1000 + 10

    def wall(self) -> float:
        self.seconds += 0.01
        return self.seconds


class Bench:
    """Cores of one chain, made and closed together."""

    def __init__(self, folder: Path, rule: LeaderRule | None = None) -> None:
        self.folder = folder
        self.rule = rule or Work()
        self.clock = Clock()
        self.first = Envelope.sign(GENESIS.block(BORN), None).encode()
        self._open: list[Core] = []
        self._nonces: dict[str, int] = {}

    def core(self, name: str, verifier: Any = None) -> Core:
        """Open the core called `name`; its store lies beside it."""
        core = Core(
            self.folder / f"{name}.db",
            self.first,
            open_store(f"file://{self.folder}/{name}"),
            rule=self.rule,
            verifier=verifier,
            clock=self.clock,
            disk=SystemDisk(),
        )
        self._open.append(core)
        return core

    def call(
        self, account: Account, contract: str, function: str, *args: Any, nonce: int | None = None
    ) -> SignedTransaction:
        """Sign a call with the account's next nonce."""
        if nonce is None:
            nonce = self._nonces.get(account.address, 0)
            self._nonces[account.address] = nonce + 1
        terms = CallTerms(7, contract_address(contract))
        return account.sign(
            UnsignedTransaction(terms, nonce, encode_call(contract, function, *args))
        )

    def mint(self, amount: int = 1, *, nonce: int | None = None) -> SignedTransaction:
        return self.call(ADMIN, "StakeToken", "mint", ADMIN.address, amount, nonce=nonce)

    def close(self) -> None:
        for core in self._open:
            core.close()


def sealed(core: Core, miner: Account | None = None, source: Any = None, **changes: Any) -> Block:
    """Return the next block of a core's branch; `changes` make it a cheat's."""
    template = core.template(miner.address if miner else None, source)
    assert template is not None
    fields = {name: getattr(template, name) for name in template.__slots__}
    return seal(**(fields | changes), difficulty=GENESIS.difficulty)


def mine(core: Core, miner: Account | None = None, source: Any = None) -> bytes:
    """Let a core make a block and take it; return the envelope."""
    data = Envelope.sign(sealed(core, miner, source), miner).encode()
    core.accept(data)
    return data


def tell(source: Core, target: Core) -> None:
    """Give `target` all blocks of `source`'s main branch."""
    for block in list(source.snapshot.hashes):
        data = source.envelope(block)
        assert data is not None
        target.accept(data)
