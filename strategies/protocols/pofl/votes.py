"""The phase in which voters score the candidates on their own data and sign the scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fedledger.arrays import Arrays, to_record
from fedledger.errors import UpdateRejected
from fedledger.records import ARRAYS, CANDIDATES

from ....ledger_plugins.contracts.training_task.calls import SUBMIT_VOTES
from ...rounds.phase import Given, Phase
from ...rounds.round import Round

__all__ = ["Ballot", "VotesPhase"]


@dataclass(frozen=True, slots=True, eq=False)
class Ballot:
    """What is voted on.

    Attributes:
        digest: 32 bytes that a vote names.
        models: the candidate models, in the order of the scores.
    """

    digest: bytes
    models: Sequence[Arrays]


class VotesPhase(Phase[tuple[int, ...]]):
    """Clients, as voters, sign by how much each candidate changes the loss on their data."""

    name: ClassVar[str] = "votes"
    signs: ClassVar = (SUBMIT_VOTES,)
    kind: ClassVar[str] = "evaluate"

    def details(self, round: Round, subject: Ballot) -> Mapping[str, Any]:  # noqa: ARG002 - Phase
        """Tell what the votes have to name."""
        return {"ballot": subject.digest.hex()}

    def pose(self, round: Round, subject: Ballot) -> Mapping[str, Any]:
        """Send the model the round began with, and the candidates beside it."""
        return {ARRAYS: to_record(round.base)} | {
            f"{CANDIDATES}{index:03d}": to_record(model)
            for index, model in enumerate(subject.models)
        }

    def parse(self, given: Given, round: Round, subject: Ballot) -> tuple[int, ...]:  # noqa: ARG002 - Phase
        """Return the scores, one a candidate, in millionths of the loss."""
        values = given.signed[SUBMIT_VOTES.name]
        scores = tuple(values["scores"])
        if values["ballot"] != subject.digest or len(scores) != len(subject.models):
            raise UpdateRejected("ballot", f"{len(scores)} scores for {values['ballot'].hex()}")
        return scores
