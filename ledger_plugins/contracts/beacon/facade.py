"""Beacon: values that nobody knew before."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from fedledger.errors import ConfigError

from ...accounts import Account
from ...base import Ledger, Receipt
from ..facade import Facade, sends, sends_then
from ..meanings import Address, Hash32, Seconds
from ..records import EventRecord
from .twin import commitment_to

__all__ = [
    "Beacon",
    "DrawClosed",
    "DrawOpened",
    "Drawn",
    "SubjectFixed",
    "ValueCommitted",
    "ValueRevealed",
    "commitment_to",
    "secret_value",
]


@dataclass(frozen=True, slots=True)
class DrawOpened(EventRecord):
    """A draw that was opened.

    Attributes:
        draw: its number, from 1.
        task: whose members commit themselves.
        topic: what is drawn, 32 bytes.
        stake: tokens that each member locks.
        quorum: fewer revealed values than this make it void.
        lookahead: blocks from the one that fixes the subject to the one whose randomness goes in;
            0: none.
        commit_until: until when commitments are taken, in block time.
        fix_until: until when the subject may be fixed.
        reveal_seconds: for how long values are revealed after that.
    """

    event: ClassVar = "DrawOpened"
    draw: int
    task: int
    topic: Hash32
    stake: int
    quorum: int
    lookahead: int
    commit_until: Seconds
    fix_until: Seconds
    reveal_seconds: Seconds


@dataclass(frozen=True, slots=True)
class SubjectFixed(EventRecord):
    """What a draw is about.

    Attributes:
        draw: its number.
        subject: 32 bytes.
        fixed_block: the block in which it was fixed; values are revealed in later ones.
        random_block: the block whose randomness goes in; 0: none.
        reveal_until: until when values are revealed, in block time.
    """

    event: ClassVar = "SubjectFixed"
    draw: int
    subject: Hash32
    fixed_block: int
    random_block: int
    reveal_until: Seconds


@dataclass(frozen=True, slots=True)
class DrawClosed(EventRecord):
    """How a draw ended.

    Attributes:
        draw: its number.
        value: 32 bytes; zeros where it is void.
        void: whether it gave no value.
    """

    event: ClassVar = "DrawClosed"
    draw: int
    value: Hash32
    void: bool


@dataclass(frozen=True, slots=True)
class ValueCommitted(EventRecord):
    """A member that committed itself.

    Attributes:
        draw: the draw's number.
        member: who.
        index: its position in the value, from 0.
        commitment: 32 bytes.
    """

    event: ClassVar = "ValueCommitted"
    draw: int
    member: Address
    index: int
    commitment: Hash32


@dataclass(frozen=True, slots=True)
class ValueRevealed(EventRecord):
    """A value that a member revealed.

    Attributes:
        draw: the draw's number.
        member: who.
        value: 32 bytes.
    """

    event: ClassVar = "ValueRevealed"
    draw: int
    member: Address
    value: Hash32


class Drawn(NamedTuple):
    """A draw's value, 32 bytes, and whether it is void."""

    value: Hash32
    void: bool


def _opened(receipt: Receipt) -> tuple[int, Receipt]:
    return DrawOpened.read(receipt.event(DrawOpened.event)).draw, receipt


class Beacon(Facade):
    """Draws in which members of a task commit themselves to values, and then reveal them."""

    contract = "Beacon"

    @sends_then(_opened)
    def open(
        self,
        account: Account,
        *,
        task: int,
        topic: Hash32,
        stake: int = 0,
        quorum: int = 1,
        lookahead: int = 0,
        commit_seconds: Seconds,
        fix_seconds: Seconds,
        reveal_seconds: Seconds,
    ) -> None:
        """Open a draw; `account` is the task's owner or aggregator.

        Args:
            account: who signs.
            task: the task whose members commit themselves.
            topic: what is drawn, 32 bytes; each topic of a task is drawn once.
            stake: tokens that each member locks with its commitment.
            quorum: fewer revealed values than this make the draw void.
            lookahead: blocks between the one that fixes the subject and the one whose randomness
                goes in, at most 8,000; 0: none, as on an embedded chain.
            commit_seconds: for how long commitments are taken.
            fix_seconds: for how long after that the subject may be fixed.
            reveal_seconds: for how long after that values are revealed.

        Returns:
            The draw's number and the receipt.
        """

    @sends
    def commit(self, account: Account, draw: int, commitment: Hash32) -> None:
        """Commit `account`, a member of the task, to a value: see `commitment_to`."""

    @sends
    def fix(self, account: Account, draw: int, subject: Hash32) -> None:
        """Say what the draw is about; `account` is the task's owner or aggregator."""

    @sends
    def reveal(self, account: Account, draw: int, value: Hash32) -> None:
        """Reveal the value of `account`."""

    @sends
    def provide(self, account: Account, draw: int, header: bytes) -> None:
        """Give the header of the block whose randomness the draw wants, as RLP."""

    @sends
    def close(self, account: Account, draw: int) -> None:
        """End a draw; anyone may."""

    @sends
    def settle(self, account: Account, draw: int, member: Address) -> None:
        """Give a member its stake back, or take it; anyone may."""

    def draw_of(self, task: int, topic: bytes) -> int:
        """Return the draw of a task's topic; 0: none."""
        return self._call(int, "drawOf", task, topic)

    def drawn(self, draw: int) -> Drawn:
        """Return a draw's value; ContractError (`DrawNotEnded`) as long as it is open."""
        return self._call(Drawn, "valueOf", draw)

    def opened(self, task: int) -> list[DrawOpened]:
        """Return the draws of a task, in ledger order."""
        return self._events(DrawOpened, task=task)

    def terms(self, draw: int) -> DrawOpened:
        """Return how a draw was opened.

        Raises:
            ConfigError: there is no such draw.
        """
        for found in self._events(DrawOpened, draw=draw):
            return found
        count = self._call(int, "drawCount")
        there = f"its draws are 1 to {count}" if count else "it has none"
        raise ConfigError(f"there is no draw {draw} on this ledger: {there}")

    def commitments(self, draw: int) -> list[ValueCommitted]:
        """Return who committed itself, in ledger order."""
        return self._events(ValueCommitted, draw=draw)

    def reveals(self, draw: int) -> list[ValueRevealed]:
        """Return what was revealed, in ledger order."""
        return self._events(ValueRevealed, draw=draw)

    def closed(self, draw: int) -> DrawClosed | None:
        """Return how a draw ended; None as long as it is open."""
        return next(iter(self._events(DrawClosed, draw=draw)), None)

    def fixed(self, draw: int) -> SubjectFixed | None:
        """Return what a draw is about; None as long as that is not fixed."""
        return next(iter(self._events(SubjectFixed, draw=draw)), None)


def secret_value(account: Account, ledger: Ledger, draw: int) -> bytes:
    """Return the value of an account for a draw: 32 secret bytes that it can compute again."""
    here = ledger.contracts()[Beacon.contract].address
    return account.secret(f"beacon/{ledger.chain_id}/{here}/{draw}".encode())
