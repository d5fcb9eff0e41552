"""Rounds in which nobody sees an update: masked, summed as ciphertexts, opened together.

FLChain's collaborative training (Algorithms 2 and 3), with what it leaves out: a list that trainers
sign before its sum is opened, fresh randomness, and shares that are given for nothing else.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from fedledger.errors import ConfigError, CryptoError

from ....crypto.paillier import add
from ....crypto.paillier.cores import here
from ....crypto.threshold import (
    Dealing,
    ThresholdKeys,
    check_trial,
    combine,
    lift,
    trial_ciphertext,
)
from ....crypto.threshold.dealt import MOST_BYTES
from ....ledger_plugins.contracts.threshold_keys.contents import packing_of, part_of
from ....ledger_plugins.contracts.threshold_keys.lists import CiphertextList, Entry
from ....ledger_plugins.contracts.threshold_keys.statements import LIST, MASKED
from ....ledger_plugins.contracts.threshold_keys.terms import PROTOCOL, ThresholdTerms
from ...rounds.arrival import ArrivalWindow
from ...rounds.phase import Answer, Answers
from ...rounds.protocol import Protocol, Settings
from ...rounds.round import Result, Round
from .phases import (
    KeysPhase,
    Listed,
    ListPhase,
    Masked,
    MaskedPhase,
    OpenedPhase,
    Setting,
    SharesPhase,
    number_of,
)

__all__ = ["RULE", "ThresholdPaillierProtocol", "ThresholdState"]

RULE = "masked mean"


class ThresholdState(Settings):
    """What later rounds need.

    Attributes:
        accepted: trainers that accepted the keys, once they were enough and have opened the trial;
            () before.
    """

    accepted: tuple[str, ...] = ()


class ThresholdPaillierProtocol(Protocol[ThresholdTerms, ThresholdState]):
    """The mean of updates that nobody sees, recomputed by anyone.

    Trust: fewer than t trainers are malicious; then neither they nor the aggregator, all together,
    learn more of an honest trainer's update than the sum of the list less their own updates tells.
    The dealer is trusted to forget. Every ciphertext, product, share, message and the model is
    replayed by the audit. Nothing bounds what a trainer hides in its update but the clip of its own
    library: a malicious one poisons the mean unseen (no rule can look). docs/trust.md.

    Args:
        settings: the terms.
        specification: gives the text of the task's specification; only where the round runs.
    """

    name: ClassVar[str] = PROTOCOL
    version: ClassVar[int] = 1
    Settings: ClassVar = ThresholdTerms
    State: ClassVar = ThresholdState
    hides: ClassVar[frozenset[str]] = frozenset({"updates"})

    def __init__(
        self, settings: ThresholdTerms, specification: Callable[[], str] = lambda: ""
    ) -> None:
        super().__init__(settings)
        self.packing = packing_of(settings)  # or it is refused before anybody begins
        self._specification = specification
        self._dealt: tuple[ThresholdKeys, bytes] | None = None

    def tolerated(self, parties: int) -> int:  # noqa: ARG002 - t is a setting
        """Return how many trainers may be malicious: fewer than open a sum."""
        return self.settings.threshold - 1

    def run(self, round: Round, state: ThresholdState) -> tuple[Result, ThresholdState]:
        """Set the keys up once; mask, list, sum, open."""
        terms = self.settings
        if len(round.terms.registered) != terms.trainers:
            raise ConfigError(f"{PROTOCOL}: the keys are for {terms.trainers} trainers")
        keys, dealing = self._keys(round)
        count = self.packing.ciphertexts(round.layout.size)
        setting = Setting(terms, keys, count, self._specification())
        if not state.accepted:
            accepted, kept = self._set_up(round, setting, dealing)
            if kept is not None:
                return Result.keep(kept), state
            state = ThresholdState(accepted=accepted)
        masked = round.ask(
            MaskedPhase(setting), window=self._window(terms.train_window, len(round.clients))
        )
        enough = max(terms.floor, terms.quorum)
        if len(masked) < enough:
            return _few("masked updates", len(masked), enough), state
        listed = self._listed(round, setting, masked)
        if isinstance(listed, Result):
            return listed, state
        return self._opened(round, setting, listed), state

    # Inside --------------------------------------------------------------------------------

    def _window(self, seconds: float, enough: int) -> ArrivalWindow:
        return ArrivalWindow(seconds, self.settings.quiet, enough)

    def _keys(self, round: Round) -> tuple[ThresholdKeys, bytes]:
        """Return the keys, and the dealing that they stand in, once they are those agreed on."""
        if self._dealt is None:
            terms = self.settings
            data = round.fetch(terms.dealing, MOST_BYTES)
            keys = Dealing.decode(data).check()
            if keys.digest.hex() != terms.keys:
                raise CryptoError("keys", "the dealing has others than the specification names")
            keys.check_agreed(
                bits=terms.key_bits, trainers=terms.trainers, threshold=terms.threshold
            )
            self._dealt = keys, data
        return self._dealt

    def _set_up(
        self, round: Round, setting: Setting, dealing: bytes
    ) -> tuple[tuple[str, ...], str | None]:
        """Return who accepted the keys and opened the trial; or why they cannot be used yet."""
        terms, keys = self.settings, setting.keys
        answers = round.ask(
            KeysPhase(setting),
            dealing,
            window=self._window(terms.accept_window, len(round.clients)),
        )
        if len(answers) < terms.quorum:
            return (), (
                f"{len(answers)} of {terms.trainers} trainers accepted the keys, {terms.quorum} "
                "are needed"
            )
        trial = [trial_ciphertext(keys)[0]]
        try:
            roots = combine(keys, trial, _by_number(round, answers), here())
            check_trial(keys, lift(keys, trial, roots, here()))
        except CryptoError as error:
            return (), f"the trainers' shares do not open the trial: {error}"
        return tuple(answers.parties), None

    def _listed(self, round: Round, setting: Setting, masked: Answers[Masked]) -> Listed | Result:
        """Return the list that enough trainers have signed; or a result that keeps the model."""
        terms, keys = self.settings, setting.keys
        entries = CiphertextList(tuple(_entry(answer) for answer in masked))
        digest = entries.digest(round.domain, keys.digest)
        round.note("list", digest.hex())
        weights = entries.weights(terms)
        self.packing.check_weights(weights)
        product = add(keys.public, (one.value.ciphertexts for one in masked), weights)
        contents = {one.party: one.value.arrays for one in masked}
        listed = Listed(entries, digest, contents, {}, product)
        signed = round.ask(
            ListPhase(setting), listed, window=self._window(terms.list_window, terms.quorum)
        )
        if len(signed) < terms.quorum:
            return _few("signatures of the list", len(signed), terms.quorum)
        signatures = {one.party: one.signatures[LIST.name] for one in signed}
        return replace(listed, contents={}, signatures=signatures)

    def _opened(self, round: Round, setting: Setting, listed: Listed) -> Result:
        """Return what comes of a list that may be opened."""
        terms, keys = self.settings, setting.keys
        shares = round.ask(
            SharesPhase(setting), listed, window=self._window(terms.share_window, terms.threshold)
        )
        if len(shares) < terms.threshold:
            return _few("trainers' decryption shares", len(shares), terms.threshold)
        try:
            roots = combine(keys, listed.product, _by_number(round, shares), here())
        except CryptoError as error:  # proved shares fit, unless the dealer's safe primes are none
            return Result.keep(f"the sum cannot be opened: {error}")
        if setting.count <= terms.lifts:
            return self._result(round, listed, lift(keys, listed.product, roots, here()).messages)
        openers = shares.parties[: setting.count]
        lifted = replace(listed, roots=roots, openers=openers)
        parts = round.ask(
            OpenedPhase(setting, len(openers)),
            lifted,
            window=self._window(terms.share_window, len(openers)),
        )
        return self._result(round, listed, self._messages(setting, lifted, parts))

    def _result(self, round: Round, listed: Listed, messages: Sequence[int]) -> Result:
        """Return the model moved by the mean that opened messages hold."""
        weight = sum(listed.list.weights(self.settings))
        try:
            sums = self.packing.unpack(messages, round.layout.size, weight)
        except CryptoError as error:
            return Result.keep(f"a masked update held what no update does: {error}")
        mean = self.packing.mean(sums, weight)
        contributors = tuple(listed.list.accounts)
        return Result(
            round.layout.add(round.base, mean),
            RULE,
            None,
            contributors,
            dict.fromkeys(contributors, round.terms.reward),
            {"list": listed.digest},
        )

    def _messages(self, setting: Setting, listed: Listed, parts: Answers[Any]) -> list[int]:
        """Return all messages: of parts that nobody opened they are lifted here."""
        opened = {answer.party: answer.value.messages for answer in parts}
        messages: list[int] = []
        for number, account in enumerate(listed.openers):
            found: Sequence[int] | None = opened.get(account)
            if found is None:
                part = part_of(number, len(listed.openers), setting.count)
                product, roots = listed.product[part], listed.roots[part]
                found = lift(setting.keys, product, roots, here()).messages if product else ()
            messages += found
        return messages


def _entry(answer: Answer[Masked]) -> Entry:
    value = answer.value
    return Entry(answer.party, value.cid, value.samples, answer.signatures[MASKED.name])


def _by_number(round: Round, answers: Answers[list[int]]) -> dict[int, list[int]]:
    """Return shares by their trainers' numbers."""
    return {number_of(round, answer.party): answer.value for answer in answers}


def _few(what: str, found: int, needed: int) -> Result:
    return Result.keep(f"{found} {what} arrived in time, {needed} are needed")
