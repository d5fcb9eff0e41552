"""The evidence of an accusation, and what a replay says about one that a trainer signed wrongly."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedledger.errors import FedledgerError

from ...ledger_plugins.storage.base import Store
from ..rounds.answers.faults import FAULT, ProvedFault
from ..rounds.evidence.checks import Outcome, Witness
from ..rounds.evidence.documents import Words

__all__ = ["Accused", "accused_of", "signed_wrong"]

_MOST_BYTES = 64 * 1024


class Accused(BaseModel):
    """The evidence of an accusation.

    Attributes:
        version: version of this form.
        kind: the accusation's kind.
        task: the task's number.
        round: the round.
        subject: the accused.
        finding: what does not follow.
        witness: where to look: the fields of `Witness`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    kind: str
    task: int
    round: int
    subject: str
    finding: Words
    witness: dict[str, Any] = Field(default_factory=dict)


def accused_of(store: Store, cid: str) -> Accused | None:
    """Return the evidence of an accusation; None: it is missing, or no document of this form."""
    try:
        return Accused.model_validate_json(store.get(cid, max_bytes=_MOST_BYTES))
    except (FedledgerError, ValidationError, ValueError):
        return None


def signed_wrong(  # noqa: PLR0917 - the accusation, then what the replay came to
    subject: str,
    evidence: Accused | None,
    faults: Sequence[ProvedFault],
    outcome: Outcome | None,
    reason: str | None,
    witness: Witness | None,
) -> tuple[bool | None, str]:
    """Return whether an account signed what is provably wrong in a round, and why.

    Who did is guilty whatever the accusation says. Who did not may have done something else that
    no replay looks for, unless the accusation itself says that the round's evidence shows it.

    Args:
        subject: the accused.
        evidence: the accusation's.
        faults: what the replay found to be provably wrong.
        outcome: whether the round replays; None: nobody looked.
        reason: why it does not.
        witness: where it does not.
    """
    for fault in faults:
        if fault.party == subject:
            return True, fault.sentence
    said = (evidence.kind, evidence.subject, evidence.witness.get("step")) if evidence else ()
    if said != ("update", subject, FAULT):
        return None, "verdicts on 'update' are not verified by a replay, where none shows a fault"
    if outcome is Outcome.PASSED:
        return False, "the round replays, and nothing in it shows that its answer is wrong"
    if witness is not None and (witness.step, witness.answer) == (FAULT, subject):
        return False, f"the aggregator said so and it is not true: {reason}"
    return None, f"the round could not be checked so far: {reason or 'nobody looked at it'}"
