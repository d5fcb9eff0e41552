"""Beacon's twin: draws of values that members commit to, then reveal.

The embedded chain's blocks have no randomness of their own: their makers choose all of them, so a
draw there asks for none.

Storage: ("draws",): how many; ("topic", task, topic): draw; ("draw", draw): the fields of `Draw`;
("member", draw, account): commitment, index, status; ("value", draw, index): what was revealed.
"""

# ruff: noqa: N802, N803 - the names and arguments are the ABI's

from hashlib import sha256
from typing import Any, NamedTuple, NoReturn

from eth_abi.abi import encode
from eth_hash.auto import keccak

from ..twin import Twin

__all__ = ["MAX_COMMITTED", "Beacon", "commitment_to"]

MAX_COMMITTED = 256
"""The most commitments of one draw (clause L9)."""

_MAX_LOOKAHEAD = 8_000
_NONE = bytes(32)
_COMMITTED, _REVEALED, _SETTLED = 1, 2, 3


def commitment_to(draw: int, member: str, value: bytes) -> bytes:
    """Return the commitment of a draw's member to a value.

    Args:
        draw: the draw.
        member: address of the account that is going to reveal.
        value: 32 bytes that nobody else can guess.
    """
    return keccak(encode(["uint256", "address", "bytes32"], [draw, member, value]))


class Draw(NamedTuple):
    """A draw; `reveal_until` is 0 as long as the subject is not fixed."""

    task: int
    stake: int
    quorum: int
    commit_until: int
    fix_until: int
    reveal_seconds: int
    reveal_until: int = 0
    fixed_block: int = 0
    subject: bytes = _NONE
    committed: int = 0
    revealed: int = 0
    ended: int = 0
    value: bytes = _NONE


class Beacon(Twin):
    """Values that nobody knew before."""

    contract = "Beacon"

    def open(  # noqa: PLR0917 - the ABI's
        self,
        task: int,
        topic: bytes,
        stake: int,
        quorum: int,
        lookahead: int,
        commitSeconds: int,
        fixSeconds: int,
        revealSeconds: int,
    ) -> int:
        """Open a draw for a task's topic."""
        self._check_drawer(task)
        if self.drawOf(task, topic):
            self.revert("TopicDrawn", task=task, topic=topic)
        terms = {
            "commitSeconds": commitSeconds > 0,
            "fixSeconds": fixSeconds > 0,
            "revealSeconds": revealSeconds > 0,
            "quorum": 0 < quorum <= MAX_COMMITTED,
            "lookahead": lookahead <= _MAX_LOOKAHEAD,
        }
        for name, fine in terms.items():
            if not fine:
                self.revert("InvalidTerms", term=name)
        if lookahead:
            self.revert("NoBlockRandomness")
        draw = self.drawCount() + 1
        until = self.now + commitSeconds
        about = Draw(task, stake, quorum, until, until + fixSeconds, revealSeconds)
        self.state["draws",] = draw
        self.state["topic", task, topic] = draw
        self.state["draw", draw] = tuple(about)
        self.emit(
            "DrawOpened",
            draw=draw,
            task=task,
            topic=topic,
            stake=stake,
            quorum=quorum,
            lookahead=lookahead,
            commitUntil=about.commit_until,
            fixUntil=about.fix_until,
            revealSeconds=revealSeconds,
        )
        return draw

    def commit(self, draw: int, commitment: bytes) -> None:
        """Commit the sender to a value."""
        about = self._draw(draw)
        if self.now > about.commit_until:
            self.revert("CommitmentsClosed", until=about.commit_until, time=self.now)
        if not self.peer("TrainingTask").isMember(about.task, self.sender)[0]:
            self.revert("NotTaskMember", account=self.sender)
        if ("member", draw, self.sender) in self.state:
            self.revert("AlreadyCommitted", account=self.sender)
        index = about.committed
        if index == MAX_COMMITTED:
            self.revert("TooManyCommitted", maximum=MAX_COMMITTED)
        self._put(draw, about._replace(committed=index + 1))
        self.state["member", draw, self.sender] = (commitment, index, _COMMITTED)
        self.emit(
            "ValueCommitted", draw=draw, member=self.sender, index=index, commitment=commitment
        )
        if about.stake:
            self._bonds().lock(self.sender, draw.to_bytes(32, "big"), about.stake)

    def fix(self, draw: int, subject: bytes) -> None:
        """Say what the draw is about."""
        about = self._draw(draw)
        self._check_drawer(about.task)
        if about.reveal_until:
            self.revert("AlreadyFixed", draw=draw)
        if self.now <= about.commit_until:
            self.revert("CommitmentsOpen", until=about.commit_until, time=self.now)
        if self.now > about.fix_until:
            self.revert("FixingClosed", until=about.fix_until, time=self.now)
        block, until = self.environment.block, self.now + about.reveal_seconds
        self._put(draw, about._replace(subject=subject, fixed_block=block, reveal_until=until))
        self.emit(
            "SubjectFixed",
            draw=draw,
            subject=subject,
            fixedBlock=block,
            randomBlock=0,
            revealUntil=until,
        )

    def reveal(self, draw: int, value: bytes) -> None:
        """Reveal the sender's value."""
        about = self._check_revealing(draw)
        found = self.state.get(("member", draw, self.sender))
        if found is None:
            self.revert("NotCommitted", account=self.sender)
        commitment, index, status = found
        if status != _COMMITTED:
            self.revert("AlreadyRevealed", account=self.sender)
        if commitment_to(draw, self.sender, value) != commitment:
            self.revert("WrongValue", account=self.sender)
        self.state["member", draw, self.sender] = (commitment, index, _REVEALED)
        self.state["value", draw, index] = value
        self._put(draw, about._replace(revealed=about.revealed + 1))
        self.emit("ValueRevealed", draw=draw, member=self.sender, value=value)

    def provide(self, draw: int, header: bytes) -> NoReturn:  # noqa: ARG002 - as IBeacon has it
        """Refuse a block's header: no draw of this chain wants one."""
        self._check_revealing(draw)
        self.revert("RandomnessUnwanted", draw=draw)

    def close(self, draw: int) -> None:
        """End a draw, once nothing can change it any more."""
        about = self._draw(draw)
        if about.ended:
            self.revert("DrawEnded", draw=draw)
        whole = about.reveal_until and about.revealed == about.committed
        until = about.reveal_until or about.fix_until
        if not whole and self.now <= until:
            self.revert("DrawOpen", until=until, time=self.now)
        if about.revealed >= about.quorum:
            about = about._replace(value=self._value(draw, about))
        self._put(draw, about._replace(ended=1))
        self.emit("DrawClosed", draw=draw, value=about.value, void=about.value == _NONE)

    def settle(self, draw: int, member: str) -> None:
        """Give a member its stake back, or take it."""
        about = self._draw(draw)
        if not about.ended:
            self.revert("DrawNotEnded", draw=draw)
        commitment, index, status = self.state.get(("member", draw, member), (_NONE, 0, _SETTLED))
        if about.stake == 0 or status == _SETTLED:
            self.revert("NothingStaked", account=member)
        lost = status == _COMMITTED and about.reveal_until > 0
        self.state["member", draw, member] = (commitment, index, _SETTLED)
        self.emit("StakeSettled", draw=draw, member=member, lost=lost)
        bonds, purpose = self._bonds(), draw.to_bytes(32, "big")
        if lost:
            treasury = self.environment.addresses["Bonds"]
            bonds.slash(member, purpose, (treasury,), (about.stake,))
        else:
            bonds.release(member, purpose, about.stake)

    def drawCount(self) -> int:
        """Return the number of draws so far."""
        return int(self.state.get(("draws",), 0))

    def drawOf(self, task: int, topic: bytes) -> int:
        """Return the draw of a task's topic; 0: none."""
        return int(self.state.get(("topic", task, topic), 0))

    def valueOf(self, draw: int) -> tuple[bytes, bool]:
        """Return a draw's value, and whether it is void."""
        about = self._draw(draw)
        if not about.ended:
            self.revert("DrawNotEnded", draw=draw)
        return about.value, about.value == _NONE

    def MAX_COMMITTED(self) -> int:
        """Return how many commitments one draw can have."""
        return MAX_COMMITTED

    def _value(self, draw: int, about: Draw) -> bytes:
        values = (self.state.get(("value", draw, index)) for index in range(about.committed))
        said = b"".join(value for value in values if value is not None)
        return sha256(draw.to_bytes(32, "big") + about.subject + _NONE + said).digest()

    def _draw(self, draw: int) -> Draw:
        found = self.state.get(("draw", draw))
        if found is None:
            self.revert("UnknownDraw", draw=draw)
        return Draw(*found)

    def _put(self, draw: int, about: Draw) -> None:
        self.state["draw", draw] = tuple(about)

    def _bonds(self) -> Any:
        return self.peer("Bonds")

    def _check_drawer(self, task: int) -> None:
        owner, aggregator, _ = self.peer("TrainingTask").getRoles(task)
        if self.sender not in (owner, aggregator):
            self.revert("NotDrawer", sender=self.sender)

    def _check_revealing(self, draw: int) -> Draw:
        about = self._draw(draw)
        if not about.reveal_until:
            self.revert("NotFixed", draw=draw)
        if self.environment.block <= about.fixed_block:
            self.revert(
                "RevealTooEarly", fixedBlock=about.fixed_block, number=self.environment.block
            )
        if self.now > about.reveal_until:
            self.revert("RevealsClosed", until=about.reveal_until, time=self.now)
        return about
