"""Clauses L16 and L17: which contracts a ledger has, and which blocks."""

# ruff: noqa: S101 - asserts are what tests are made of

import pytest

from fedledger.errors import CallError, LedgerUnavailable

from ..accounts import Account
from ..ancestry import header_hash, linked
from ..base import Ledger
from ..contracts.registry import abi_digest
from .harness import LedgerHarness

__all__ = ["HistoryClauses"]


class HistoryClauses(LedgerHarness):
    """What every ledger says about itself."""

    # L16: contracts.

    def test_l16_a_ledger_says_which_contracts_it_has(self, ledger: Ledger) -> None:
        """L16: name, version, address and digest of the ABI, and from which block on."""
        found = ledger.contracts()
        assert {"StakeToken", "TrainingTask"} <= found.keys()
        for name, one in found.items():
            assert one.name == name
            assert one.version >= 1
            assert one.abi == abi_digest(f"{name}@{one.version}")
            assert 0 <= one.since <= ledger.head().block + 1
        for name, function in (("StakeToken", "mint"), ("TrainingTask", "propose")):
            assert ledger.terms(name, function).to == found[name].address

    def test_l16_another_contract_is_refused_by_name(self, ledger: Ledger, admin: Account) -> None:
        """L16: a call of a contract that the ledger lacks says which it has."""
        for ask in (
            lambda: ledger.terms("Nowhere", "mint"),
            lambda: ledger.call("Nowhere", "name"),
            lambda: ledger.prepare(admin.address, "Nowhere", "mint"),
            lambda: ledger.events("Nowhere"),
        ):
            with pytest.raises(CallError, match="Nowhere"):
                ask()

    # L17: history.

    def test_l17_blocks_are_found_by_their_hashes(self, ledger: Ledger, admin: Account) -> None:
        """L17: every block of the chain by its hash, and no other."""
        self.mint(ledger, admin, 3)
        for block in ledger.blocks():
            assert ledger.index_of(block.hash) == block.index
        for unknown in ("0x" + "5e" * 32, "0x", "", "0x12", "no hash"):
            assert ledger.index_of(unknown) is None

    def test_l17_the_settled_block_is_deep_enough(self, ledger: Ledger, admin: Account) -> None:
        """L17: it is on the chain, as many blocks below the head as the ledger says."""
        self.mint(ledger, admin, 2)
        settled, head = ledger.settled(), ledger.head()
        assert settled.index == max(0, head.block - ledger.settled_depth)
        assert ledger.index_of(settled.hash) == settled.index
        assert ledger.shared or settled.hash == head.hash

    def test_l17_headers_prove_what_a_block_stands_on(self, ledger: Ledger, admin: Account) -> None:
        """L17: each header hashes to its block's hash; or the ledger says that they do not."""
        self.mint(ledger, admin, 3)
        head = ledger.head().block
        if not ledger.header_form:
            with pytest.raises(LedgerUnavailable):
                ledger.headers(0, head)
            return
        headers, blocks = ledger.headers(0, head), list(ledger.blocks(0, head))
        for header, block in zip(headers, blocks, strict=True):
            assert header_hash(ledger.header_form, header) == block.hash
        hashes = [block.hash for block in blocks]
        assert linked(ledger.header_form, headers)[1:] == hashes
        assert linked(ledger.header_form, headers[1:]) == hashes
        with pytest.raises(CallError):
            linked(ledger.header_form, headers[::-1])

    def test_l17_a_replaced_block_is_not_found(self, ledger: Ledger, admin: Account) -> None:
        """L17: on another branch it has no index, and what stands before it still has."""
        self.mint(ledger, admin, 1)
        before = ledger.block(ledger.head().block)
        self.mint(ledger, admin, 1)
        gone = ledger.head()
        if not self.reorganises:
            assert ledger.index_of(gone.hash) == gone.block
            return
        self.reorganise(ledger, 1)
        assert ledger.index_of(gone.hash) is None
        assert ledger.index_of(before.hash) == before.index

    @staticmethod
    def mint(ledger: Ledger, admin: Account, times: int) -> None:
        """Mint one token several times, a call after the other."""
        for _ in range(times):
            unsigned = ledger.prepare(admin.address, "StakeToken", "mint", admin.address, 1)
            ledger.transact(admin.sign(unsigned))
