"""Clauses L1 to L10 on tokens and single rounds."""

# ruff: noqa: S101 - asserts are what tests are made of

import secrets
from dataclasses import replace
from typing import Any

import pytest

from fedledger.errors import CallError, ContractError, MalformedTransaction, TransactionRefused

from ..accounts import Account, decode_transaction
from ..base import Ledger, Receipt
from ..contracts import StakeToken, TrainingTask
from ..contracts.abi import encode_call
from .calls import all_events as _all_events
from .calls import propose as _propose
from .calls import publish as _publish
from .calls import refused as _refused
from .calls import signed as _signed
from .calls import submit as _submit
from .calls import update as _update
from .harness import LedgerFactory, LedgerHarness

__all__ = ["LedgerClauses"]


class LedgerClauses(LedgerHarness):
    """What every ledger keeps, whatever its contracts do."""

    # L1: only the holder of a key moves its account.

    def test_l1_forged_fields_are_refused(self, ledger: Ledger, admin: Account) -> None:
        """L1: what an object says beside its envelope is not believed."""
        signed = _signed(ledger, admin, "StakeToken", "mint", admin.address, 5)
        other = Account.create().address
        for forged in (
            replace(signed, sender=other),
            replace(signed, hash="0x" + "11" * 32),
            replace(signed, unsigned=replace(signed.unsigned, nonce=signed.unsigned.nonce + 1)),
        ):
            _refused(ledger, forged, "signature")
        ledger.transact(signed)

    def test_l1_changed_bytes_do_not_act_for_the_signer(
        self, ledger: Ledger, token: StakeToken, admin: Account
    ) -> None:
        """L1: an envelope with one byte changed never moves the account that signed it."""
        signed = _signed(ledger, admin, "StakeToken", "mint", admin.address, 5)
        for position in range(len(signed.raw)):
            raw = bytearray(signed.raw)
            raw[position] ^= 1
            _refused(ledger, replace(signed, raw=bytes(raw)), "signature")
            try:
                other = decode_transaction(bytes(raw))
            except MalformedTransaction:
                continue
            assert other.sender != signed.sender
            with pytest.raises((TransactionRefused, ContractError)):
                ledger.transact(other)
        assert token.total_supply() == 0
        assert ledger.nonce(admin.address) == signed.unsigned.nonce

    def test_l1_nonces_are_used_once_and_in_order(self, ledger: Ledger, admin: Account) -> None:
        """L1: a nonce that was used, or is not the next one, is refused; so is a replay."""
        signed = _signed(ledger, admin, "StakeToken", "mint", admin.address, 5)
        skipped = replace(signed.unsigned, nonce=signed.unsigned.nonce + 1)
        _refused(ledger, admin.sign(skipped), "nonce")
        ledger.transact(signed)
        _refused(ledger, signed, "replay")
        data = encode_call("StakeToken", "mint", admin.address, 6)
        _refused(ledger, admin.sign(replace(signed.unsigned, data=data)), "nonce")
        assert ledger.nonce(admin.address) == signed.unsigned.nonce + 1

    def test_l1_other_chains_and_contracts_are_refused(
        self, ledger: Ledger, admin: Account
    ) -> None:
        """L1: a call signed for another chain or another address does nothing here."""
        unsigned = ledger.prepare(admin.address, "StakeToken", "mint", admin.address, 5)
        elsewhere = replace(unsigned.terms, chain_id=unsigned.terms.chain_id + 1)
        _refused(ledger, admin.sign(replace(unsigned, terms=elsewhere)), "chain")
        nowhere = replace(unsigned.terms, to=Account.create().address)
        _refused(ledger, admin.sign(replace(unsigned, terms=nowhere)), "contract")

    def test_l1_others_cannot_spend(self, token: StakeToken, admin: Account) -> None:
        """L1: nobody moves tokens of another account beyond what its holder allowed."""
        thief, owner = Account.create(), Account.create()
        token.mint(admin, owner.address, 10)
        with pytest.raises(ContractError) as caught:
            token.transfer_from(thief, owner.address, thief.address, 1)
        assert caught.value.error == "ERC20InsufficientAllowance"
        token.approve(owner, thief.address, 4)
        token.transfer_from(thief, owner.address, thief.address, 3)
        assert (token.balance(owner.address), token.balance(thief.address)) == (7, 3)

    # L2: a failed call changes nothing.

    def test_l2_a_failed_call_names_its_error_and_changes_nothing(
        self, ledger: Ledger, token: StakeToken, admin: Account
    ) -> None:
        """L2: ContractError has contract, error and arguments; balances and events stay."""
        receiver = Account.create().address
        token.mint(admin, admin.address, 3)
        events = ledger.events("StakeToken")
        with pytest.raises(ContractError) as caught:
            token.transfer(admin, receiver, 4)
        assert (caught.value.contract, caught.value.error) == (
            "StakeToken",
            "ERC20InsufficientBalance",
        )
        assert caught.value.arguments == {"sender": admin.address, "balance": 3, "needed": 4}
        assert (token.balance(admin.address), token.balance(receiver)) == (3, 0)
        assert ledger.events("StakeToken") == events
        token.transfer(admin, receiver, 3)

    def test_l2_a_failed_call_between_others(
        self, ledger: Ledger, token: StakeToken, admin: Account
    ) -> None:
        """L2: in a batch, one call that fails does not stop or change the others."""
        stranger = Account.create()
        results = ledger.transact_all(
            [
                _signed(ledger, admin, "StakeToken", "mint", admin.address, 1),
                _signed(ledger, stranger, "StakeToken", "mint", stranger.address, 1),
                _signed(ledger, admin, "StakeToken", "mint", admin.address, 2, ahead=1),
            ]
        )
        assert [type(result) for result in results] == [Receipt, ContractError, Receipt]
        assert token.total_supply() == token.balance(admin.address) == 3

    # L3: calls take effect in ledger order, and a receipt says where.

    def test_l3_receipts_say_where(self, ledger: Ledger, admin: Account) -> None:
        """L3: receipts follow each other, and the transaction is found again by its hash."""
        before = ledger.head()
        places = []
        for amount in (1, 2, 3):
            signed = _signed(ledger, admin, "StakeToken", "mint", admin.address, amount)
            receipt = ledger.transact(signed)
            assert receipt.transaction == signed.hash
            assert ledger.transaction(signed.hash) == signed
            places.append((receipt.block, receipt.position))
        assert places == sorted(set(places))
        assert before.block < places[0][0]
        assert ledger.head().block >= places[-1][0]
        with pytest.raises(KeyError):
            ledger.transaction("0x" + "00" * 32)

    def test_l3_a_batch_takes_effect_in_its_order(
        self, ledger: Ledger, token: StakeToken, admin: Account
    ) -> None:
        """L3: what an earlier call of a batch brought, a later one can spend."""
        first, second = Account.create(), Account.create()
        results = ledger.transact_all(
            [
                _signed(ledger, admin, "StakeToken", "mint", first.address, 5),
                _signed(ledger, first, "StakeToken", "transfer", second.address, 5),
                _signed(ledger, second, "StakeToken", "transfer", admin.address, 5),
            ]
        )
        assert token.balance(admin.address) == 5
        places = [(one.block, one.position) for one in results if isinstance(one, Receipt)]
        assert len(places) == 3
        assert places == sorted(set(places))

    # L4: events are complete, ordered and filterable by block.

    def test_l4_events_are_what_the_receipts_say(self, ledger: Ledger, admin: Account) -> None:
        """L4: `events` returns every receipt's events, in order, and filters by name and block."""
        receipts = [
            ledger.transact(_signed(ledger, admin, "StakeToken", function, admin.address, 1))
            for function in ("mint", "transfer", "transfer")
        ]
        receipts.append(
            ledger.transact(
                _signed(ledger, admin, "StakeToken", "approve", Account.create().address, 1)
            )
        )
        expected = [event for receipt in receipts for event in receipt.events]
        since = receipts[0].block
        assert ledger.events("StakeToken", since=since) == expected
        assert [event.name for event in expected] == ["Transfer"] * 3 + ["Approval"]
        assert ledger.events("StakeToken", "Approval") == expected[3:]
        middle = receipts[1].block
        assert ledger.events("StakeToken", since=middle, until=middle) == list(receipts[1].events)
        assert ledger.events("StakeToken", until=since - 1, since=since - 1, event="Transfer") == []
        assert [event.arguments for event in expected[1:2]] == [
            {"from": admin.address, "to": admin.address, "value": 1}
        ]

    def test_l4_positions_count_through_a_block(self, ledger: Ledger, admin: Account) -> None:
        """L4: block and position order the events of all contracts of a batch."""
        results = ledger.transact_all(
            [
                _signed(ledger, admin, "StakeToken", "mint", admin.address, 1, ahead=ahead)
                for ahead in range(5)
            ]
        )
        events = [event for one in results if isinstance(one, Receipt) for event in one.events]
        places = [(event.block, event.position) for event in events]
        assert len(places) == 5
        assert places == sorted(set(places))
        assert ledger.events("StakeToken", since=places[0][0]) == events

    # L5: windows are judged by block time, which never goes back.

    def test_l5_time_never_goes_back(self, ledger: Ledger, admin: Account) -> None:
        """L5: the head's time never decreases from block to block."""
        times = [ledger.head().timestamp]
        for _ in range(3):
            ledger.transact(_signed(ledger, admin, "StakeToken", "mint", admin.address, 1))
            times.append(ledger.head().timestamp)
        assert times == sorted(times)

    def test_l5_a_window_closes(self, tasks: TrainingTask, admin: Account) -> None:
        """L5: an update is taken while the window is open, and refused by block time after it."""
        task = _propose(tasks, admin, window=self.window_seconds)
        _submit(tasks, Account.create(), task)
        self.pass_time(self.window_seconds + 1.1)
        with pytest.raises(ContractError) as caught:
            _submit(tasks, Account.create(), task)
        assert caught.value.error == "WindowClosed"
        opened = tasks.task(task).opened_at
        assert caught.value.arguments["deadline"] == opened + self.window_seconds
        assert caught.value.arguments["time"] > opened + self.window_seconds
        zero = bytes(32)
        tasks.reveal_salt(admin, task=task, round=1, list=zero, salt=zero)
        _publish(tasks, admin, task, [])

    def test_l5_an_open_window_is_not_cut_short(self, tasks: TrainingTask, admin: Account) -> None:
        """L5: while updates are taken nobody publishes the round, and nobody reveals a salt."""
        client, task = Account.create(), _propose(tasks, admin, window=10**6)
        _submit(tasks, client, task)
        zero = bytes(32)
        for early in (
            lambda: _publish(tasks, admin, task, [client.address]),
            lambda: tasks.reveal_salt(client, task=task, round=1, list=zero, salt=zero),
        ):
            with pytest.raises(ContractError) as caught:
                early()
            assert caught.value.error == "WindowOpen"
            deadline = tasks.task(task).opened_at + 10**6
            assert caught.value.arguments["time"] <= deadline == caught.value.arguments["deadline"]
        assert not tasks.reveals(task, 1)
        assert not tasks.aggregates(task)
        assert tasks.task(task).current_round == 0

    def test_l5_a_round_without_a_window_ends_when_it_is_published(
        self, tasks: TrainingTask, admin: Account
    ) -> None:
        """L5: it takes updates, reveals and the publication at any time."""
        client, task = Account.create(), _propose(tasks, admin)
        tasks.reveal_salt(client, task=task, round=1, list=b"\1" * 32, salt=b"\2" * 32)
        _submit(tasks, client, task)
        tasks.reveal_salt(client, task=task, round=1, list=b"\3" * 32, salt=b"\4" * 32)
        _publish(tasks, admin, task, [client.address])
        last = tasks.reveals(task, 1)[-1]
        assert (last.client, last.list, last.salt) == (client.address, b"\3" * 32, b"\4" * 32)

    # L6: what was acknowledged survives.

    def test_l6_everything_is_there_after_opening_again(
        self, ledger_factory: LedgerFactory, admin: Account
    ) -> None:
        """L6: a ledger opened again has the same transactions, state, events and head."""
        client = Account.create()
        with ledger_factory(admin.address) as ledger:
            signed = _signed(ledger, admin, "StakeToken", "mint", client.address, 7)
            ledger.transact(signed)
            task = _propose(TrainingTask(ledger), admin)
            _submit(TrainingTask(ledger), client, task)
            events, head = _all_events(ledger), ledger.head()
            chain_id, nonce = ledger.chain_id, ledger.nonce(admin.address)
        with ledger_factory(admin.address) as again:
            assert again.transaction(signed.hash) == signed
            assert _all_events(again)[: len(events)] == events
            assert again.head().block >= head.block
            assert (again.chain_id, again.nonce(admin.address)) == (chain_id, nonce)
            assert StakeToken(again).balance(client.address) == 7
            assert TrainingTask(again).status(task, 1, client.address) == 1
            _refused(again, signed, "replay")
            again.verify()

    # L7: tokens are conserved.

    def test_l7_minted_is_held_and_locked(
        self, token: StakeToken, tasks: TrainingTask, ledger: Ledger, admin: Account
    ) -> None:
        """L7: after every step the supply is what accounts hold and what is in escrow."""
        clients = [Account.create() for _ in range(3)]
        escrow = ledger.terms("TrainingTask", "propose").to
        holders = [admin.address, escrow, *(client.address for client in clients)]
        contributors = [client.address for client in clients]

        def conserved(supply: int, locked: int) -> None:
            assert sum(map(token.balance, holders)) == token.total_supply() == supply
            assert token.balance(escrow) == locked

        token.mint(admin, admin.address, 100)
        token.transfer(admin, clients[0].address, 30)
        conserved(100, 0)
        task = _propose(tasks, admin, rounds=2)
        for client in clients:
            _submit(tasks, client, task)
        conserved(100, 0)
        _publish(tasks, admin, task, contributors)
        conserved(160, 60)
        tasks.pay_rewards(clients[0], task=task, round=1, clients=contributors[:2])
        conserved(160, 20)
        with pytest.raises(ContractError) as caught:
            tasks.pay_rewards(admin, task=task, round=1, clients=contributors)
        assert caught.value.error == "AlreadyPaid"
        conserved(160, 20)
        tasks.pay_rewards(admin, task=task, round=1, clients=contributors[2:])
        conserved(160, 0)

    # L8: a reorganisation is noticed.

    def test_l8_what_was_acknowledged_is_not_silently_lost(
        self, ledger: Ledger, token: StakeToken, admin: Account
    ) -> None:
        """L8: whatever happens to the newest blocks, acknowledged calls are on the ledger, once."""
        other = Account.create()
        first = ledger.transact(_signed(ledger, admin, "StakeToken", "mint", other.address, 5))
        calls = [
            _signed(ledger, admin, "StakeToken", "mint", other.address, 1),
            _signed(ledger, other, "StakeToken", "transfer", admin.address, 6),
            _signed(ledger, admin, "StakeToken", "transfer", other.address, 2, ahead=1),
        ]
        receipts = [one for one in ledger.transact_all(calls) if isinstance(one, Receipt)]
        assert len(receipts) == 3
        self._replace(ledger, ledger.head().block - first.block)
        assert (token.balance(admin.address), token.balance(other.address)) == (4, 2)
        assert token.total_supply() == 6
        assert [ledger.transaction(signed.hash) for signed in calls] == calls
        assert ledger.nonce(admin.address) == calls[-1].unsigned.nonce + 1
        events = ledger.events("StakeToken", "Transfer")
        assert [event.transaction for event in events[1:]] == [signed.hash for signed in calls]
        _refused(ledger, calls[0], "replay")
        token.mint(admin, other.address, 1)
        ledger.verify()

    def test_l8_blocks_that_were_not_replaced_keep_their_receipts(
        self, ledger: Ledger, admin: Account
    ) -> None:
        """L8: of what stays, block, hash and events stay as the receipts said."""
        receipts = [
            ledger.transact(_signed(ledger, admin, "StakeToken", "mint", admin.address, 1))
            for _ in range(3)
        ]
        self._replace(ledger, ledger.head().block - receipts[1].block)
        expected = [event for receipt in receipts[:2] for event in receipt.events]
        until = receipts[1].block
        assert ledger.events("StakeToken", "Transfer", until=until) == expected
        assert len(ledger.events("StakeToken", "Transfer")) == 3

    def _replace(self, ledger: Ledger, depth: int) -> None:
        if self.reorganises:
            before = ledger.head()
            self.reorganise(ledger, depth)
            assert ledger.head() != before

    # L9: a bounded transaction; batches otherwise.

    def test_l9_a_call_lists_a_bounded_number_of_clients(
        self, ledger: Ledger, tasks: TrainingTask, admin: Account
    ) -> None:
        """L9: a list above the contract's bound is refused as a whole."""
        bound = ledger.call("TrainingTask", "MAX_CONTRIBUTORS")
        task = _propose(tasks, admin)
        clients = [Account.create().address for _ in range(bound + 1)]
        with pytest.raises(ContractError) as caught:
            _publish(tasks, admin, task, clients)
        assert caught.value.error == "TooManyContributors"
        assert caught.value.arguments == {"given": bound + 1, "maximum": bound}

    def test_l9_a_round_of_many_clients_is_submitted_published_and_paid(
        self, ledger: Ledger, token: StakeToken, tasks: TrainingTask, admin: Account
    ) -> None:
        """L9: as many contributors as the contract allows fit one call to publish and to pay."""
        bound = ledger.call("TrainingTask", "MAX_CONTRIBUTORS")
        task = _propose(tasks, admin)
        clients = [Account.create() for _ in range(bound)]
        results = ledger.transact_all([_update(ledger, client, task) for client in clients])
        assert all(isinstance(result, Receipt) for result in results)
        contributors = [client.address for client in clients]
        _publish(tasks, admin, task, contributors)
        tasks.pay_rewards(admin, task=task, round=1, clients=contributors)
        assert {token.balance(client) for client in contributors} == {20}

    # L10: a clear error before anything is sent.

    def test_l10_unknown_names_are_refused(self, ledger: Ledger, admin: Account) -> None:
        """L10: an unknown contract, function or event is a CallError, and nothing was sent."""
        before = ledger.head().block, ledger.nonce(admin.address)
        for attempt in (
            lambda: ledger.prepare(admin.address, "Nothing", "mint", admin.address, 1),
            lambda: ledger.prepare(admin.address, "StakeToken", "mnit", admin.address, 1),
            lambda: ledger.terms("Nothing", "mint"),
            lambda: ledger.terms("StakeToken", "mnit"),
            lambda: ledger.call("Nothing", "totalSupply"),
            lambda: ledger.call("StakeToken", "totalSuply"),
            lambda: ledger.events("Nothing"),
            lambda: ledger.events("StakeToken", "Transfered"),
        ):
            with pytest.raises(CallError):
                attempt()
        assert (ledger.head().block, ledger.nonce(admin.address)) == before

    @pytest.mark.parametrize(
        "args",
        [
            (),
            ("0x" + "11" * 20,),
            ("0x" + "11" * 20, 1, 2),
            ("0x" + "11" * 20, -1),
            ("0x" + "11" * 20, 1 << 256),
            ("0x" + "11" * 20, "1"),
            ("0x" + "11" * 20, 1.0),
            ("0x" + "11" * 19, 1),
            ("not an address", 1),
            (b"\x11" * 20, 1),
        ],
    )
    def test_l10_wrong_arguments_are_refused(
        self, ledger: Ledger, admin: Account, args: tuple[Any, ...]
    ) -> None:
        """L10: a wrong number, type or range of arguments is a CallError, and nothing was sent."""
        before = ledger.head().block, ledger.nonce(admin.address)
        with pytest.raises(CallError):
            ledger.prepare(admin.address, "StakeToken", "mint", *args)
        with pytest.raises(CallError):
            ledger.call("StakeToken", "balanceOf", *args[1:])
        assert (ledger.head().block, ledger.nonce(admin.address)) == before

    def test_l10_views_are_called_and_the_rest_is_sent(
        self, ledger: Ledger, admin: Account
    ) -> None:
        """L10: preparing a view, or calling what changes state, is a CallError."""
        with pytest.raises(CallError):
            ledger.prepare(admin.address, "StakeToken", "totalSupply")
        with pytest.raises(CallError):
            ledger.call("StakeToken", "mint", admin.address, 1)

    def test_l10_data_that_is_no_call_is_refused(self, ledger: Ledger, admin: Account) -> None:
        """L10: a signed transaction whose data no function takes changes nothing."""
        unsigned = ledger.prepare(admin.address, "StakeToken", "mint", admin.address, 1)
        for data in (b"", b"\xff\xff\xff\xff", unsigned.data[:-1], secrets.token_bytes(40)):
            with pytest.raises((TransactionRefused, ContractError)):
                ledger.transact(admin.sign(replace(unsigned, data=data)))
        assert ledger.call("StakeToken", "totalSupply") == 0
