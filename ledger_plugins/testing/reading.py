"""Clauses L11 to L15: blocks, an account's calls, times, following, and opening to read only."""

# ruff: noqa: S101 - asserts are what tests are made of

import itertools
from dataclasses import replace

import pytest

from fedledger.errors import (
    CallError,
    ContractError,
    LedgerUnavailable,
    OpenedReadOnly,
    Reorganised,
    UnknownBlock,
)

from .. import open_ledger
from ..accounts import Account
from ..base import Event, Inclusion, Ledger, Receipt
from ..contracts import StakeToken, TrainingTask
from ..following import Cursor
from .calls import all_events, propose, publish, signed, submit
from .harness import LedgerFactory, LedgerHarness

__all__ = ["ReadingClauses"]

OTHER = "0x" + "11" * 32


def mint(ledger: Ledger, admin: Account, times: int = 1) -> list[Receipt]:
    """Mint one token several times, a call after the other."""
    return [
        ledger.transact(signed(ledger, admin, "StakeToken", "mint", admin.address, 1))
        for _ in range(times)
    ]


def polled(
    ledger: Ledger, cursor: Cursor | str | None, limit: int | None = None
) -> tuple[list[Event], Cursor]:
    """Follow transfers until nothing is new; return all that came, and the last cursor."""
    found: list[Event] = []
    while True:
        events, cursor = ledger.follow("StakeToken", "Transfer", after=cursor, limit=limit)
        assert limit is None or len(events) <= limit
        if not events:
            return found, cursor
        found += events


class ReadingClauses(LedgerHarness):
    """What every ledger tells those who read it."""

    # L11: blocks.

    def test_l11_blocks_are_linked_and_hold_the_calls(self, ledger: Ledger, admin: Account) -> None:
        """L11: block 0 to the head, each after the one it names, with the receipts' calls."""
        receipts = mint(ledger, admin, 3)
        blocks = list(ledger.blocks())
        head = ledger.head()
        assert [block.index for block in blocks[: head.block + 1]] == [*range(head.block + 1)]
        assert blocks[0].previous_hash == "0x" + "00" * 32
        for before, block in itertools.pairwise(blocks):
            assert block.previous_hash == before.hash
            assert block.timestamp >= before.timestamp
        newest = blocks[head.block]
        assert (newest.index, newest.hash, newest.timestamp) == (
            head.block,
            head.hash,
            head.timestamp,
        )
        for receipt in receipts:
            block = ledger.block(receipt.block)
            assert block == blocks[receipt.block]
            assert block.hash == receipt.block_hash
            assert block.transactions[receipt.position] == receipt.transaction

    def test_l11_blocks_are_read_as_far_as_they_are_asked_for(
        self, ledger: Ledger, admin: Account
    ) -> None:
        """L11: a range, one beyond the head, none; and an iterator that need not be finished."""
        mint(ledger, admin, 3)
        newest = ledger.head().block
        for since, until, expected in (
            (newest - 1, newest, [newest - 1, newest]),
            (newest, newest + 5, [newest]),
            (newest + 1, None, []),
            (-3, 0, [0]),
            (2, 1, []),
        ):
            assert [block.index for block in ledger.blocks(since, until)] == expected
        blocks = ledger.blocks()
        assert next(blocks).index == 0
        mint(ledger, admin)
        assert next(blocks).index == 1

    def test_l11_no_block_is_a_clear_error(self, ledger: Ledger) -> None:
        """L11: below 0 or above the head is UnknownBlock, a KeyError, with both numbers."""
        newest = ledger.head().block
        for index in (-1, newest + 1_000):
            with pytest.raises(UnknownBlock, match=str(index)) as caught:
                ledger.block(index)
            assert isinstance(caught.value, KeyError)
            assert caught.value.block == index
            assert caught.value.newest >= newest

    # L12: an account's calls.

    def test_l12_an_accounts_calls_are_listed_completely(
        self, ledger: Ledger, tasks: TrainingTask, admin: Account
    ) -> None:
        """L12: all that it signed and a block executed, of every contract, in order; no more."""
        client, stranger = Account.create(), Account.create()
        task = propose(tasks, admin)
        calls = [
            signed(ledger, admin, "StakeToken", "mint", client.address, 3),
            signed(ledger, client, "StakeToken", "transfer", admin.address, 1),
            signed(ledger, client, "StakeToken", "transfer", admin.address, 1, ahead=1),
        ]
        batch = [one for one in ledger.transact_all(calls) if isinstance(one, Receipt)]
        submit(tasks, client, task)
        found = ledger.transactions_of(client.address)
        assert [one.transaction for one in found[:2]] == [one.hash for one in calls[1:]]
        assert found[:2] == [
            Inclusion(one.transaction, one.block, one.block_hash, one.position) for one in batch[1:]
        ]
        assert len(found) == 3
        assert [one.place for one in found] == sorted({one.place for one in found})
        for nonce, one in enumerate(found):
            made = ledger.transaction(one.transaction)
            assert (made.sender, made.unsigned.nonce) == (client.address, nonce)
            assert ledger.block(one.block).transactions[one.position] == one.transaction
        assert ledger.transactions_of(client.address.lower()) == found
        assert ledger.transactions_of(stranger.address) == []

    def test_l12_calls_are_filtered_by_block_and_what_failed_is_none(
        self, ledger: Ledger, token: StakeToken, admin: Account
    ) -> None:
        """L12: a range of blocks; a call that was refused is nowhere; what is no address is one."""
        client = Account.create()
        token.mint(admin, client.address, 2)
        places = [token.transfer(client, admin.address, 1) for _ in range(2)]
        with pytest.raises(ContractError):
            token.transfer(client, admin.address, 1)
        first, second = places[0].block, places[1].block
        hashes = [one.transaction for one in places]
        for since, until, expected in (
            (0, None, hashes),
            (first, first, hashes[:1]),
            (first + 1, None, hashes[1:]),
            (0, second - 1, hashes[:1]),
            (second + 1, None, []),
            (0, second + 5, hashes),
        ):
            found = ledger.transactions_of(client.address, since=since, until=until)
            assert [one.transaction for one in found] == expected
        with pytest.raises(CallError):
            ledger.transactions_of("nobody")

    # L13: an event's block.

    def test_l13_events_carry_their_blocks_time_and_hash(
        self, ledger_factory: LedgerFactory, admin: Account
    ) -> None:
        """L13: in receipts, in `events`, of batches, and after opening again."""
        with ledger_factory(admin.address) as ledger:
            tasks = TrainingTask(ledger)
            task = propose(tasks, admin)
            submit(tasks, admin, task)
            publish(tasks, admin, task, [admin.address])
            results = ledger.transact_all(
                [
                    signed(ledger, admin, "StakeToken", "mint", admin.address, 1, ahead=ahead)
                    for ahead in range(3)
                ]
            )
            receipts = [one for one in results if isinstance(one, Receipt)]
            events = all_events(ledger)
            assert len(receipts) == 3
            assert all(event in events for receipt in receipts for event in receipt.events)
            for receipt in receipts:
                assert {event.block_hash for event in receipt.events} == {receipt.block_hash}
            for event in events:
                block = ledger.block(event.block)
                assert (event.time, event.block_hash) == (block.timestamp, block.hash)
        with ledger_factory(admin.address) as again:
            assert all_events(again)[: len(events)] == events

    # L14: following.

    def test_l14_following_gives_every_event_once(self, ledger: Ledger, admin: Account) -> None:
        """L14: whatever the limit and whenever it is called, nothing is missed or repeated."""
        expected: list[Event] = []
        cursors: dict[int | None, Cursor | str | None] = dict.fromkeys((None, 1, 2, 100))
        seen: dict[int | None, list[Event]] = {limit: [] for limit in cursors}
        for times in (0, 2, 0, 1):
            expected += [event for one in mint(ledger, admin, times) for event in one.events]
            batch = [
                signed(ledger, admin, "StakeToken", "mint", admin.address, 1, ahead=ahead)
                for ahead in range(times + 1)
            ]
            for result in ledger.transact_all(batch):
                assert isinstance(result, Receipt)
                expected += result.events
            for limit, cursor in cursors.items():
                events, after = polled(ledger, cursor, limit)
                seen[limit] += events
                cursors[limit] = str(after) if times else after
        assert expected == ledger.events("StakeToken", "Transfer")
        assert all(events == expected for events in seen.values())

    def test_l14_one_event_of_a_block_at_a_time(self, ledger: Ledger, admin: Account) -> None:
        """L14: a cursor may stand inside a block, and filters by name see what others passed."""
        receipts = mint(ledger, admin, 2)
        events, cursor = ledger.follow("StakeToken", "Transfer", limit=1)
        assert events == list(receipts[0].events)
        assert ledger.follow("StakeToken", "Approval", after=cursor).events == []
        assert polled(ledger, cursor)[0] == list(receipts[1].events)
        with pytest.raises(CallError):
            ledger.follow("StakeToken", "Transfer", limit=0)

    def test_l14_a_cursor_is_kept_as_text(
        self, ledger_factory: LedgerFactory, admin: Account
    ) -> None:
        """L14: with its text another object goes on where the first one stopped."""
        with ledger_factory(admin.address) as ledger:
            mint(ledger, admin, 2)
            cursor = ledger.follow("StakeToken", "Transfer", limit=1).cursor
            text = str(cursor)
            assert Cursor.parse(text) == cursor
            assert (text.isascii(), text.isprintable(), len(text) < 600) == (True, True, True)
            rest = ledger.follow("StakeToken", after=cursor).events
            assert len(rest) == 1
        with ledger_factory(admin.address) as again:
            assert again.follow("StakeToken", after=text).events[:1] == rest
            for wrong in ("", "c1", text + "/", text[:-1] + "g", "c1/x", text.replace("c1", "c2")):
                with pytest.raises(CallError, match="no cursor"):
                    again.follow("StakeToken", after=wrong)

    def test_l14_unknown_names_are_refused_when_nothing_is_new(
        self, ledger: Ledger, admin: Account
    ) -> None:
        """L14: a contract or event that is none is a CallError with every cursor."""
        mint(ledger, admin)
        for cursor in (None, ledger.follow("StakeToken").cursor):
            with pytest.raises(CallError):
                ledger.follow("Nothing", after=cursor)
            with pytest.raises(CallError):
                ledger.follow("StakeToken", "Transfered", after=cursor)

    def test_l14_a_cursor_of_another_chain_is_noticed(self, ledger: Ledger, admin: Account) -> None:
        """L14: a block that is not on the chain is Reorganised, one beyond the head unavailable."""
        mint(ledger, admin, 2)
        cursor = ledger.follow("StakeToken").cursor
        with pytest.raises(Reorganised) as caught:
            ledger.follow("StakeToken", after=replace(cursor, block_hash=OTHER))
        assert (caught.value.block, caught.value.common) == (cursor.block, cursor.before[0][0])
        resume = caught.value.resume
        assert resume is not None
        after = ledger.follow("StakeToken", after=resume).events
        common = caught.value.common or 0
        assert after == ledger.events("StakeToken", since=common + 1)
        with pytest.raises(Reorganised, match="begin anew") as caught:
            ledger.follow("StakeToken", after=Cursor(cursor.block, OTHER))
        assert (caught.value.common, caught.value.resume) == (None, None)
        with pytest.raises(LedgerUnavailable, match="behind"):
            ledger.follow("StakeToken", after=Cursor(cursor.block + 1_000_000, OTHER))

    def test_l14_what_follows_after_replaced_blocks_is_what_is_there(
        self, ledger: Ledger, admin: Account
    ) -> None:
        """L14: who forgets what came after the common block, and goes on from it, misses nothing.

        Where blocks are never replaced, nothing is to be forgotten.
        """
        (kept,) = mint(ledger, admin)
        seen, cursor = polled(ledger, None)
        mint(ledger, admin, 2)
        events, cursor = polled(ledger, cursor)
        seen += events
        if self.reorganises:
            self.reorganise(ledger, ledger.head().block - kept.block)
            with pytest.raises(Reorganised) as caught:
                ledger.follow("StakeToken", after=cursor)
            common, resume = caught.value.common, caught.value.resume
            assert common is not None
            assert common <= kept.block
            seen = [event for event in seen if event.block <= common]
        else:
            resume = str(cursor)
        seen += polled(ledger, resume)[0]
        assert seen == ledger.events("StakeToken", "Transfer")
        assert len(seen) == 3

    # L15: opened to read only.

    def test_l15_a_reader_sees_everything_and_changes_nothing(
        self, ledger: Ledger, admin: Account
    ) -> None:
        """L15: beside a writer it reads all there is; a call is OpenedReadOnly; nothing changed."""
        mint(ledger, admin, 2)
        call = signed(ledger, admin, "StakeToken", "mint", admin.address, 1)
        before = ledger.head(), ledger.nonce(admin.address), self.footprint(ledger)
        with self.reader(ledger) as reader:
            assert (reader.read_only, ledger.read_only) == (True, False)
            assert reader.chain_id == ledger.chain_id
            assert reader.head() == ledger.head()
            assert all_events(reader) == all_events(ledger)
            assert list(reader.blocks()) == list(ledger.blocks())
            assert reader.transactions_of(admin.address) == ledger.transactions_of(admin.address)
            assert reader.follow("StakeToken") == ledger.follow("StakeToken")
            assert StakeToken(reader).balance(admin.address) == 2
            reader.verify()
            with pytest.raises(OpenedReadOnly, match="opened to read only"):
                reader.transact(call)
            with pytest.raises(OpenedReadOnly, match="opened to read only"):
                reader.transact_all([call])
        assert (ledger.head(), ledger.nonce(admin.address), self.footprint(ledger)) == before
        ledger.transact(call)

    def test_l15_a_reader_needs_no_writer(
        self, ledger_factory: LedgerFactory, admin: Account
    ) -> None:
        """L15: of a ledger that nobody has open everything is read, and nothing is left behind."""
        with ledger_factory(admin.address) as ledger:
            mint(ledger, admin)
            events = all_events(ledger)
        before = self.footprint(ledger)
        with self.reader(ledger) as reader:
            assert all_events(reader)[: len(events)] == events
        assert self.footprint(ledger) == before

    def test_l15_where_nothing_is_nothing_is_made(self, ledger: Ledger) -> None:
        """L15: opening to read what is not there is LedgerUnavailable, a second time as well."""
        before = self.footprint(ledger)
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                open_ledger(self.nowhere(ledger), read_only=True)
        assert self.footprint(ledger) == before
