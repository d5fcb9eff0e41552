"""Membership's twin: what accounts were told about taking part in a task, and the members' votes.

Storage: ("rule", task): 1 the owner, 2 the members; ("standing", task, account): of the constants
below; ("accepted", task, account): whose place it agreed to have; ("barred", task,
account): 1; ("decided", change): how often;
("voter", ballot, index): member; ("voters", ballot): how many; ("since", ballot, member): time.
"""

# ruff: noqa: N802, N803 - the names and arguments are the ABI's

from eth_abi.abi import encode
from eth_hash.auto import keccak

from ...addresses import ZERO_ADDRESS
from ..stake_token.twin import GOVERNOR_ROLE
from ..twin import Twin

__all__ = [
    "ADMIT",
    "ADMITTED",
    "ASKED",
    "ELECT",
    "LEFT",
    "MAX_VOTES",
    "MEMBERS",
    "OWNER",
    "REMOVE",
    "REMOVED",
    "REPLACE",
    "Membership",
]

MAX_VOTES = 256
"""Votes that one change can have (clause L9)."""

OWNER, MEMBERS = 1, 2
ASKED, ADMITTED, LEFT, REMOVED = range(1, 5)
ADMIT, REMOVE, REPLACE, ELECT, _RECORD = range(1, 6)
_MILLION = 1_000_000


class Membership(Twin):
    """Who takes part in a task, from round to round."""

    contract = "Membership"

    def openMembership(self, task: int, byMembers: bool) -> None:  # noqa: FBT001 - the ABI's
        """Let a task's clients change."""
        self._check_owner(task)
        if ("rule", task) in self.state:
            self.revert("MembershipAlreadyOpen", task=task)
        if ended := self._ended(task):
            self.revert("FirstRoundEnded", task=task, rounds=ended)
        self.state["rule", task] = MEMBERS if byMembers else OWNER
        self.emit("MembershipOpened", task=task, byMembers=byMembers)

    def join(self, task: int) -> None:
        """Ask to be a client."""
        self._check_open(task)
        before = self._standing(task, self.sender)
        if before == ASKED:
            self.revert("AlreadyAsked", account=self.sender)
        if before == ADMITTED:
            self.revert("AlreadyAdmitted", account=self.sender)
        self.state["standing", task, self.sender] = ASKED
        self.emit("JoinAsked", task=task, account=self.sender)

    def admit(self, task: int, account: str) -> None:
        """Make an account that asked for it a client."""
        self._check_owner_decides(task)
        self._check_asked(task, account)
        self._admit(task, account, 0)

    def voteAdmit(self, task: int, account: str) -> None:
        """Vote for making an account that asked for it a client."""
        self._check_members_decide(task)
        self._check_asked(task, account)
        if votes := self._vote_change(task, ADMIT, account, ZERO_ADDRESS):
            self._admit(task, account, votes)

    def leaveTask(self, task: int) -> None:
        """Cease to be a client."""
        self._check_open(task)
        self._check_there(task, self.sender)
        self.state["standing", task, self.sender] = LEFT
        self.state.pop(("accepted", task, self.sender), None)
        self.emit("ClientLeft", task=task, account=self.sender)

    def remove(self, task: int, account: str) -> None:
        """Take an account off the clients."""
        self._check_owner_decides(task)
        self._check_there(task, account)
        self._remove(task, account, 0)

    def voteRemove(self, task: int, account: str) -> None:
        """Vote for taking an account off the clients."""
        self._check_members_decide(task)
        self._check_there(task, account)
        if votes := self._vote_change(task, REMOVE, account, ZERO_ADDRESS):
            self._remove(task, account, votes)

    def acceptPlace(self, task: int, account: str) -> None:
        """Agree to have the place of an account."""
        self._check_open(task)
        if account in (ZERO_ADDRESS, self.sender):
            self.revert("NoPlace", account=account)
        if self._standing(task, self.sender) == ADMITTED:
            self.revert("AlreadyAdmitted", account=self.sender)
        self.state["accepted", task, self.sender] = account
        self.emit("PlaceAccepted", task=task, account=account, by=self.sender)

    def replace(self, task: int, account: str, by: str) -> None:
        """Give the place of an account to one that agreed to have it."""
        if self.sender == account:
            self._check_open(task)
        else:
            self._check_owner_decides(task)
        self._check_replacement(task, account, by)
        self._replace(task, account, by, 0)

    def voteReplace(self, task: int, account: str, by: str) -> None:
        """Vote for giving the place of an account to one that agreed to have it."""
        self._check_members_decide(task)
        self._check_replacement(task, account, by)
        if votes := self._vote_change(task, REPLACE, account, by):
            self._replace(task, account, by, votes)

    def elect(self, task: int, aggregator: str) -> None:
        """Vote for an aggregator of a halted task."""
        current = self.peer("TrainingTask").getRoles(task)[1]
        if not self.peer("StakeToken").hasRole(GOVERNOR_ROLE, current):
            self.revert("NotHalted", task=task)
        if self._vote_change(task, ELECT, aggregator, ZERO_ADDRESS):
            self.peer("TrainingTask").appointAggregator(task, aggregator)

    def voteCheckpoint(self, task: int, number: int, accuracy: int) -> None:
        """Vote for the newest model to become a checkpoint."""
        ended = self._ended(task)
        if number != ended:
            self.revert("NotNewestModel", newest=ended, given=number)
        if accuracy > _MILLION:
            self.revert("AccuracyTooHigh", accuracy=accuracy)
        kinds = ["uint256", "uint8", "uint32", "uint32"]
        change = keccak(encode(kinds, [task, _RECORD, number, accuracy]))
        decided, votes, members = self._vote(task, change)
        self.emit(
            "CheckpointVoted",
            task=task,
            member=self.sender,
            round=number,
            accuracy=accuracy,
            votes=votes,
            members=members,
        )
        if decided:
            self.peer("TrainingTask").recordCheckpoint(task, number, accuracy)

    def MAX_VOTES(self) -> int:
        """Return how many votes one change can have."""
        return MAX_VOTES

    def ruleOf(self, task: int) -> int:
        """Return who decides: 0 nobody, 1 the owner, 2 the members."""
        self.peer("TrainingTask").getRoles(task)
        return int(self.state.get(("rule", task), 0))

    def standingOf(self, task: int, account: str) -> int:
        """Return what an account was told."""
        self.peer("TrainingTask").getRoles(task)
        return self._standing(task, account)

    def acceptedBy(self, task: int, account: str) -> str:
        """Return whose place an account agreed to have."""
        self.peer("TrainingTask").getRoles(task)
        return self._accepted(task, account)

    def _admit(self, task: int, account: str, votes: int) -> None:
        self.state["standing", task, account] = ADMITTED
        self.state.pop(("barred", task, account), None)
        self.emit("ClientAdmitted", task=task, account=account, votes=votes)

    def _remove(self, task: int, account: str, votes: int) -> None:
        self.state["standing", task, account] = REMOVED
        self.state["barred", task, account] = 1
        self.state.pop(("accepted", task, account), None)
        self.emit("ClientRemoved", task=task, account=account, votes=votes)

    def _replace(self, task: int, account: str, by: str, votes: int) -> None:
        own = self.sender == account and not votes
        self.state["standing", task, account] = LEFT if own else REMOVED
        if not own:
            self.state["barred", task, account] = 1
        self.state["standing", task, by] = ADMITTED
        self.state.pop(("accepted", task, account), None)
        self.state.pop(("accepted", task, by), None)
        self.emit("ClientReplaced", task=task, account=account, by=by, votes=votes)

    def _vote_change(self, task: int, change: int, account: str, by: str) -> int:
        """Vote, and return how many votes decided it; 0: it is not decided yet."""
        kinds = ["uint256", "uint8", "address", "address"]
        digest = keccak(encode(kinds, [task, change, account, by]))
        decided, votes, members = self._vote(task, digest)
        self.emit(
            "ChangeVoted",
            task=task,
            member=self.sender,
            change=change,
            account=account,
            by=by,
            votes=votes,
            members=members,
        )
        return votes if decided else 0

    def _vote(self, task: int, change: bytes) -> tuple[bool, int, int]:
        tasks = self.peer("TrainingTask")
        member, since = tasks.isMember(task, self.sender)
        if not member:
            self.revert("NotVoter", account=self.sender)
        times = int(self.state.get(("decided", change), 0))
        ballot = keccak(
            encode(["bytes32", "uint32", "uint256"], [change, self._ended(task), times])
        )
        before = int(self.state.get(("since", ballot, self.sender), 0))
        if before and before >= since:
            self.revert("AlreadyInFavour", member=self.sender)
        votes = int(self.state.get(("voters", ballot), 0))
        if not before:
            if votes == MAX_VOTES:
                self.revert("TooManyInFavour", maximum=MAX_VOTES)
            self.state["voter", ballot, votes] = self.sender
            votes += 1
            self.state["voters", ballot] = votes
        self.state["since", ballot, self.sender] = self.now
        members = tasks.getRoles(task)[2]
        if votes > members // 2:
            votes = self._standing_votes(task, ballot, votes)
        decided = votes > members // 2
        if decided:
            self.state["decided", change] = times + 1
        return decided, votes, members

    def _standing_votes(self, task: int, ballot: bytes, number: int) -> int:
        """Return how many votes are of members who have been such ever since."""
        tasks, votes = self.peer("TrainingTask"), 0
        for index in range(number):
            voter = self.state["voter", ballot, index]
            member, since = tasks.isMember(task, voter)
            votes += member and since <= self.state["since", ballot, voter]
        return votes

    def _standing(self, task: int, account: str) -> int:
        return int(self.state.get(("standing", task, account), 0))

    def _accepted(self, task: int, account: str) -> str:
        return str(self.state.get(("accepted", task, account), ZERO_ADDRESS))

    def _ended(self, task: int) -> int:
        return int(self.peer("TrainingTask").getProgress(task)[1])

    def _check_owner(self, task: int) -> None:
        if self.sender != self.peer("TrainingTask").getRoles(task)[0]:
            self.revert("OwnerOnly", sender=self.sender)

    def _check_open(self, task: int) -> int:
        if not (found := self.ruleOf(task)):
            self.revert("MembershipFixed", task=task)
        return found

    def _check_owner_decides(self, task: int) -> None:
        found = self._check_open(task)
        self._check_owner(task)
        if found != OWNER:
            self.revert("MembersDecide", task=task)

    def _check_members_decide(self, task: int) -> None:
        if self._check_open(task) != MEMBERS:
            self.revert("OwnerDecides", task=task)

    def _check_asked(self, task: int, account: str) -> None:
        if self._standing(task, account) != ASKED:
            self.revert("NotAsked", account=account)

    def _check_there(self, task: int, account: str) -> None:
        if self._standing(task, account) >= LEFT:
            self.revert("AlreadyGone", account=account)

    def _check_replacement(self, task: int, account: str, by: str) -> None:
        self._check_there(task, account)
        if account == ZERO_ADDRESS or self._accepted(task, by) != account:
            self.revert("PlaceNotAccepted", account=account, by=by)
        if self._standing(task, by) == ADMITTED:
            self.revert("AlreadyAdmitted", account=by)
        if ("barred", task, by) in self.state:
            self.revert("RemovedBefore", account=by)
