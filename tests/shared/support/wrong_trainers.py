"""Trainers of encrypted rounds that sign what is wrong, each in a phase and round of its own."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from fedledger.clients.handlers.threshold import keys, masking, opening
from fedledger.crypto.threshold import lift, prove_shares
from fedledger.ledger_plugins.contracts.threshold_keys.contents import PROOF

__all__ = ["WrongTrainers", "wide_model"]


@dataclass
class WrongTrainers:
    """Who does what wrong: by what, round to account. What is wrong is signed as if it were right.

    Attributes:
        proof: whose masked update has a proof that is none.
        copied: rounds in which the second trainer that is asked sends what the first one made, as
            its own; and, once that has happened, who it was.
        trial: whose share of the trial has no proof.
        share: whose shares of the sum have none.
        opened: who says another message than was opened.
    """

    proof: dict[int, str] = field(default_factory=dict)
    copied: dict[int, str | None] = field(default_factory=dict)
    trial: dict[int, str] = field(default_factory=dict)
    share: dict[int, str] = field(default_factory=dict)
    opened: dict[int, str] = field(default_factory=dict)

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """Let the trainers of this process do so."""
        self._asked: Any = None
        self._seen: dict[int, Any] = {}
        form = masking.Masking.form

        def masked(handler: Any, asked: Any, *rest: Any) -> Any:
            made = form(handler, asked, *rest)
            first = self._seen.setdefault(asked.round, made)
            if first is not made and self.copied.get(asked.round, asked.account) is None:
                self.copied[asked.round] = asked.account
                return first
            if self.proof.get(asked.round) != asked.account:
                return made
            proof = made[PROOF].copy()
            proof[-1] ^= 1
            return {**made, PROOF: proof}

        def proved(who: dict[int, str]) -> Any:
            def made(*given: Any, **more: Any) -> Any:
                proof = prove_shares(*given, **more)
                wrong = who.get(self._asked.round) == self._asked.account
                return replace(proof, challenge=proof.challenge ^ 1) if wrong else proof

            return made

        def lifted(*given: Any) -> Any:
            found = lift(*given)
            if self.opened.get(self._asked.round) != self._asked.account:
                return found
            return replace(found, messages=tuple(one ^ 1 for one in found.messages))

        for handler in (keys.KeysHandler, opening.SharesHandler, opening.OpenedHandler):
            self._note(patch, handler)
        patch.setattr(masking.Masking, "form", masked)
        patch.setattr(keys, "prove_shares", proved(self.trial))
        patch.setattr(opening, "prove_shares", proved(self.share))
        patch.setattr(opening, "lift", lifted)

    def _note(self, patch: pytest.MonkeyPatch, handler: Any) -> None:
        answer = handler.answer

        def noted(one: Any, asked: Any) -> Any:
            self._asked = asked
            return answer(one, asked)

        patch.setattr(handler, "answer", noted)


def wide_model() -> dict[str, np.ndarray[Any, Any]]:
    """Return a model of several ciphertexts, so that several trainers open its sum."""
    return {"layer.weight": np.zeros((30, 20), np.float32), "layer.bias": np.zeros(3, np.float32)}
