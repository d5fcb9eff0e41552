"""The audit of a ledger's tokens: where each came from, where they are, and what is deposited.

Every token is explained: it is the reward of a published round, or an administrator minted it, or a
contract that is listed with that right. What nobody explains is said, and fails the audit. Moves
are followed from the first one on, and compared with what the ledger says that accounts hold.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fedledger.errors import AuditError, CallError

from ...ledger_plugins.addresses import ZERO_ADDRESS
from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import Aggregate, Bonds, Payment, Task, TrainingTask, Transfer
from ...ledger_plugins.contracts.bonds.facade import Deposited, Locked, Released, Slashed, Withdrawn
from ...ledger_plugins.contracts.registry import contract_of
from ...ledger_plugins.contracts.stake_token.facade import DEFAULT_ADMIN_ROLE, StakeToken
from ..rounds.evidence.carriers import decoded_transaction

__all__ = ["Mint", "Money", "audit_money"]

_TRIES = 3
_MINTER = "MINTER_ROLE"


@dataclass(frozen=True, slots=True)
class Mint:
    """Tokens that were minted outside of rounds.

    Attributes:
        by: who minted: an account, or a contract's name.
        to: whom for.
        amount: how many.
        transaction: hash of the transaction.
        block: its block.
        during: the audited tasks that were open then.
        explained: whether whoever minted is an administrator of the token, or a contract that is
            listed as one that mints.
    """

    by: str
    to: str
    amount: int
    transaction: str
    block: int
    during: tuple[int, ...]
    explained: bool


@dataclass(frozen=True, slots=True)
class Money:
    """The tokens of a ledger.

    Attributes:
        minted: all that there ever were.
        rewards: how many of them were minted as rewards of published rounds.
        unaudited: how many of these for rounds that were not looked at.
        mints: the others.
        free: what is deposited and free.
        locked: what is deposited and locked.
        stray: what the contract of deposits holds and is nobody's deposit.
        compared: whether what accounts hold was compared with all moves; it is not on a ledger that
            goes on too fast.
    """

    minted: int
    rewards: int
    unaudited: int
    mints: tuple[Mint, ...]
    free: int = 0
    locked: int = 0
    stray: int = 0
    compared: bool = True

    @property
    def problem(self) -> str | None:
        """What nobody explains, or None."""
        odd = [one for one in self.mints if not one.explained]
        if not odd:
            return None
        first, more = odd[0], f", and {len(odd) - 1} more like it" if len(odd) > 1 else ""
        return (
            f"stake: transaction {first.transaction} minted {first.amount} tokens for {first.to} "
            f"by {first.by}, which is neither the token's administrator nor a contract that "
            f"mints{more}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        plain: dict[str, Any] = asdict(self)
        return {**plain, "mints": [{**one, "during": [*one["during"]]} for one in plain["mints"]]}


def audit_money(
    ledger: Ledger, tasks: Collection[int], rounds: Collection[int] | None = None
) -> Money:
    """Follow every token of a ledger.

    Args:
        ledger: the ledger, which verifies.
        tasks: the tasks that are audited: their rounds explain rewards by more than their amount.
        rounds: the rounds of these that are replayed; default: all.

    Raises:
        AuditError: balances or deposits do not follow from what was minted and moved, or a round's
            rewards were not minted.
        NotChecked: a transaction is not shown.
        LedgerError: the ledger cannot be read.
    """
    for _ in range(_TRIES):
        head = ledger.head()
        found = _Follower(ledger, tasks, rounds).money(compare=True)
        if isinstance(found, Money) and ledger.head() == head:
            return found
        if isinstance(found, AuditError) and ledger.head() == head:
            raise found
    found = _Follower(ledger, tasks, rounds).money(compare=False)
    if isinstance(found, AuditError):
        raise found
    return replace(found, compared=False)


class _Follower:
    def __init__(
        self, ledger: Ledger, tasks: Collection[int], rounds: Collection[int] | None
    ) -> None:
        self._ledger = ledger
        self._token = StakeToken(ledger)
        self._contract = TrainingTask(ledger)
        self._chosen = frozenset(tasks)
        self._rounds = rounds
        there = ledger.contracts()
        self._names = {one.address: one.name for one in there.values()}
        self._tasks_at = there[TrainingTask.contract].address
        self._bonds_at = there[Bonds.contract].address if Bonds.contract in there else None

    def money(self, *, compare: bool) -> Money | AuditError:
        """Return the tokens, or what is wrong with them: it may come of blocks made meanwhile."""
        try:
            return self._money(compare=compare)
        except AuditError as error:
            return error

    def _money(self, *, compare: bool) -> Money:
        transfers = self._token.transfers()
        published = [
            Aggregate.read(one)
            for one in self._ledger.events(TrainingTask.contract, Aggregate.event)
        ]
        known = {one.task: self._contract.task(one.task) for one in published if one.contributors}
        mints, rewards, unaudited = self._mints(transfers, published, known)
        held = _held(transfers)
        minted = sum(held.values())
        paid = sum(
            Payment.read(one).amount
            for one in self._ledger.events(TrainingTask.contract, Payment.event)
        )
        out = sum(one.amount for one in transfers if one.sender == self._tasks_at)
        _equal("stake: rewards that left TrainingTask", out, paid)
        deposits = self._deposits(transfers, compare=compare)
        if compare:
            _equal("stake: the total supply", self._token.total_supply(), minted)
            for account, amount in held.items():
                _equal(f"stake: balance of {account}", self._token.balance(account), amount)
        return Money(minted, rewards, unaudited, tuple(mints), *deposits)

    def _mints(
        self,
        transfers: Sequence[Transfer],
        published: Sequence[Aggregate],
        known: Mapping[int, Task],
    ) -> tuple[list[Mint], int, int]:
        """Return what was minted outside of rounds, as rewards, and as those of other tasks."""
        due: defaultdict[str, list[tuple[int, Aggregate]]] = defaultdict(list)
        for one in published:
            if one.contributors and (reward := known[one.task].reward):
                due[one.transaction].append((reward * len(one.contributors), one))
        mints: list[Mint] = []
        rewards = unaudited = 0
        explained = self._explainer()
        open_in = self._open_in()
        for transfer in transfers:
            if transfer.sender != ZERO_ADDRESS or not transfer.amount:
                continue
            waiting = due.get(transfer.transaction, [])
            fits = (n for n, (amount, _) in enumerate(waiting) if amount == transfer.amount)
            place = next(fits, None) if transfer.recipient == self._tasks_at else None
            if place is not None:
                _, of = waiting.pop(place)
                rewards += transfer.amount
                if of.task not in self._chosen or (
                    self._rounds is not None and of.round not in self._rounds
                ):
                    unaudited += transfer.amount
                continue
            by = self._minter(transfer.transaction)
            mints.append(
                Mint(
                    by=by,
                    to=transfer.recipient,
                    amount=transfer.amount,
                    transaction=transfer.transaction,
                    block=transfer.block,
                    during=tuple(task for task, holds in open_in.items() if holds(transfer)),
                    explained=explained(by),
                )
            )
        for amount, of in (one for left in due.values() for one in left):
            raise AuditError(
                f"stake: task {of.task}, round {of.round} owes {amount} tokens, and they were not "
                "minted with it"
            )
        return mints, rewards, unaudited

    def _minter(self, transaction: str) -> str:
        """Return who minted: who signed a call of the token, or what contract was called."""
        signed = decoded_transaction(self._ledger, transaction)
        called = signed.unsigned.terms.to
        name = self._names.get(called)
        return signed.sender if name == StakeToken.contract else name or called

    def _explainer(self) -> Callable[[str], bool]:
        """Return what tells whether an account or a contract has the right to mint by itself.

        TrainingTask mints rewards, and those were explained before.
        """
        once = {
            one.arguments["account"]
            for one in self._ledger.events(StakeToken.contract, "RoleRevoked")
            if one.arguments["role"] == DEFAULT_ADMIN_ROLE
        }
        answers: dict[str, bool] = {}

        def holds(by: str) -> bool:
            if by in self._names.values():
                try:
                    return by != TrainingTask.contract and _MINTER in contract_of(by)[0].holds
                except CallError:
                    return False
            return by in once or self._token.has_role(DEFAULT_ADMIN_ROLE, by)

        def explains(by: str) -> bool:
            if by not in answers:
                answers[by] = holds(by)
            return answers[by]

        return explains

    def _open_in(self) -> dict[int, Callable[[Transfer], bool]]:
        """Return what tells whether an audited task was open when tokens moved."""
        found: dict[int, Callable[[Transfer], bool]] = {}
        for number in sorted(self._chosen):
            begin = self._contract.opened_in(number, ())
            ended = self._contract.ended(number)
            done = self._contract.task(number).finished
            end = ended[-1].place if ended and done else None

            def holds(one: Transfer, begin: int = begin, end: tuple[int, int] | None = end) -> bool:
                return begin < one.block and (end is None or one.place < end)

            found[number] = holds
        return found

    def _deposits(self, transfers: Sequence[Transfer], *, compare: bool) -> tuple[int, int, int]:
        """Return what is deposited and free, deposited and locked, and nobody's."""
        if self._bonds_at is None:
            return 0, 0, 0
        bonds, has = Bonds(self._ledger), Counter[_Deposit]()
        moves = bonds.moves()
        for move in moves:
            for whose, amount in _changes(move):
                has[whose] += amount
                if has[whose] < 0:
                    raise AuditError(
                        f"stake: transaction {move.transaction} moved more of the deposit of "
                        f"{move.account} than there was"
                    )
        paid_in = sum(one.amount for one in moves if isinstance(one, Deposited))
        paid_out = sum(one.amount for one in moves if isinstance(one, Withdrawn))
        came = sum(one.amount for one in transfers if one.recipient == self._bonds_at)
        gone = sum(one.amount for one in transfers if one.sender == self._bonds_at)
        _equal("stake: what left Bonds", gone, paid_out)
        stray = came - paid_in
        if stray < 0:
            raise AuditError(f"stake: {-stray} tokens were deposited that never came to Bonds")
        everybody: dict[_Deposit, None] = dict.fromkeys((one.recipient,) for one in transfers)
        for whose in {**everybody, **has} if compare else ():
            (account, *lock), amount = whose, has[whose]
            there = bonds.locked(account, *lock[0]) if lock else bonds.free(account)
            _equal(f"stake: deposit of {account}", there, amount)
        free = sum(amount for whose, amount in has.items() if len(whose) == 1)
        return free, sum(has.values()) - free, stray


_Deposit = tuple[str] | tuple[str, tuple[str, bytes]]
"""What is free of an account, or what somebody locked of it for a purpose."""


def _changes(
    move: Deposited | Withdrawn | Locked | Released | Slashed,
) -> Iterator[tuple[_Deposit, int]]:
    """Yield what a move changes: whose deposit, and by how much."""
    if isinstance(move, Deposited):
        yield (move.account,), move.amount
        return
    if isinstance(move, Withdrawn):
        yield (move.account,), -move.amount
        return
    lock = move.account, (move.locker, move.purpose)
    if isinstance(move, Slashed):
        yield lock, -sum(move.amounts)
        yield from (((to,), amount) for to, amount in zip(move.to, move.amounts, strict=True))
        return
    amount = move.amount if isinstance(move, Locked) else -move.amount
    yield (move.account,), -amount
    yield lock, amount


def _held(transfers: Sequence[Transfer]) -> Counter[str]:
    """Return what everybody holds after all moves."""
    held: Counter[str] = Counter()
    for one in transfers:
        if one.recipient == ZERO_ADDRESS:
            raise AuditError(f"stake: transaction {one.transaction} took tokens out of the world")
        held[one.recipient] += one.amount
        if one.sender == ZERO_ADDRESS:
            continue
        held[one.sender] -= one.amount
        if held[one.sender] < 0:
            raise AuditError(
                f"stake: transaction {one.transaction} moved {one.amount} tokens of {one.sender}, "
                "which had fewer"
            )
    return held


def _equal(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise AuditError(f"{what}: {found} stands there, {expected} follows")
