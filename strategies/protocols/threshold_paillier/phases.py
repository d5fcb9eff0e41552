"""The phases of an encrypted round: accept the keys, mask, sign the list, give shares, open."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, TypeVar

from fedledger.arrays import Layout, to_record
from fedledger.errors import CryptoError, UpdateRejected

from ....crypto.paillier import from_bytes
from ....crypto.threshold import (
    Opening,
    PlaintextProof,
    ShareProof,
    ThresholdKeys,
    check_opening,
    decode_numbers,
    trial_ciphertext,
    verify_plaintexts,
    verify_shares,
)
from ....ledger_plugins.contracts import cid_text
from ....ledger_plugins.contracts.threshold_keys.calls import ACCEPT_KEYS
from ....ledger_plugins.contracts.threshold_keys.contents import (
    CIPHERTEXTS,
    MESSAGES,
    PROOF,
    ROOTS,
    SHARES,
    bytes_of,
    digits,
    mask_layout,
    numbers_of,
    part_layout,
    part_of,
    share_layout,
    transcript_of,
)
from ....ledger_plugins.contracts.threshold_keys.lists import CiphertextList
from ....ledger_plugins.contracts.threshold_keys.statements import LIST, MASKED, OPENED, TRIAL
from ....ledger_plugins.contracts.threshold_keys.statements import SHARES as SHARES_SIGNED
from ....ledger_plugins.contracts.threshold_keys.terms import ThresholdTerms
from ....ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from ...rounds.phase import Given, Phase
from ...rounds.round import Round
from ..training import TrainingPhase

__all__ = [
    "KeysPhase",
    "ListPhase",
    "Listed",
    "Masked",
    "MaskedPhase",
    "OpenedPhase",
    "Setting",
    "SharesPhase",
    "number_of",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """What all phases of a round go by.

    Attributes:
        terms: the terms.
        keys: the threshold key.
        count: ciphertexts of an update.
        specification: the text of the task's specification; only where the round runs.
    """

    terms: ThresholdTerms
    keys: ThresholdKeys
    count: int
    specification: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """A masked update.

    Attributes:
        ciphertexts: `count` numbers of Z*_{n²}.
        arrays: the content, for those who check it.
        cid: its CID.
        samples: number of training samples, as its trainer says.
    """

    ciphertexts: Sequence[int]
    arrays: Mapping[str, Any]
    cid: str
    samples: int


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """A round's list, as later phases speak of it.

    Attributes:
        list: the list.
        digest: its digest.
        contents: of each entry's account the content.
        signatures: account to its signature of the list, once they have signed.
        product: the ciphertexts of the weighted sum.
        roots: of each ciphertext, once enough have given their shares.
        openers: who opens a part, in this order.
    """

    list: CiphertextList
    digest: bytes
    contents: Mapping[str, Mapping[str, Any]]
    signatures: Mapping[str, bytes]
    product: Sequence[int]
    roots: Sequence[int] = ()
    openers: Sequence[str] = ()


class _ThresholdPhase(Phase[T]):
    """A phase that is made for one round's setting, and asks the trainers' library, not the app."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting

    def details(self, round: Round, subject: Any) -> Mapping[str, Any]:  # noqa: ARG002 - Phase
        """Tell the specification, whose CID each trainer knows."""
        return {"specification": self._setting.specification}

    def _content(self, given: Given, round: Round) -> Mapping[str, Any]:
        """Return an answer's arrays, once their CID is the one signed."""
        layout = self.layout(round)
        assert layout is not None  # noqa: S101 - all that ask for it have one
        for said in given.signed.values():
            if "cid" in said and cid_text(said["cid"]) != given.content.cid:
                raise UpdateRejected("cid", "what was signed is not the CID of what came")
        return given.content.arrays(layout)


class KeysPhase(_ThresholdPhase[list[int]]):
    """Trainers accept the keys on the ledger, each with its share of the trial's opening."""

    name: ClassVar[str] = "keys"
    signs: ClassVar = (ACCEPT_KEYS, TRIAL)
    apart: ClassVar[bool] = True
    provable: ClassVar[frozenset[str]] = frozenset({"share"})

    def layout(self, round: Round) -> Layout:  # noqa: ARG002 - the same in every round
        """Return the layout of a share of one ciphertext."""
        return share_layout(self._setting.keys, 1)

    def details(self, round: Round, subject: bytes) -> Mapping[str, Any]:
        """Tell the dealing as well."""
        return {**super().details(round, subject), "dealing": subject.hex()}

    def parse(self, given: Given, round: Round, subject: bytes) -> list[int]:  # noqa: ARG002 - Phase
        """Return the trainer's decryption share of the trial."""
        setting, said = self._setting, given.signed[ACCEPT_KEYS.name]
        if (said["dealer"], said["digest"]) != (setting.terms.dealer, setting.keys.digest):
            raise UpdateRejected("keys", "it accepts other keys than the task's")
        trial = [trial_ciphertext(setting.keys)[0]]
        return _shares(self._content(given, round), trial, given.party, round, setting)


class MaskedPhase(TrainingPhase[Masked]):
    """Trainers train, and send their masked updates."""

    name: ClassVar[str] = "masked"
    signs: ClassVar = (SUBMIT_UPDATE, MASKED)
    provable: ClassVar[frozenset[str]] = frozenset({"proof"})

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting.terms.samples_key)
        self._setting = setting

    def details(self, round: Round, subject: Any) -> Mapping[str, Any]:
        """Tell the specification as well."""
        return {
            **super().details(round, subject),
            "specification": self._setting.specification,
        }

    def layout(self, round: Round) -> Layout:  # noqa: ARG002 - the same in every round
        """Return the layout of a masked update."""
        return mask_layout(self._setting.keys, self._setting.count)

    def parse(self, given: Given, round: Round, subject: Any) -> Masked:  # noqa: ARG002 - Phase
        """Return the ciphertexts, once their trainer has proved that it knows what is in them."""
        trained = self.trained(given, round)
        call, said = given.signed[SUBMIT_UPDATE.name], given.signed[MASKED.name]
        if (said["cid"], said["samples"]) != (call["cid"], call["samples"]):
            raise UpdateRejected("content", "what it states is not what it submits")
        setting, arrays = self._setting, trained.arrays
        public, proof = setting.keys.public, bytes_of(arrays, PROOF)
        if call["seal"] != sha256(proof).digest():
            raise UpdateRejected("proof", "the hash that it submits is not its proof's")
        try:
            numbers = from_bytes(public, bytes_of(arrays, CIPHERTEXTS), setting.count)
            transcript = transcript_of(round.domain, given.party, setting.terms, setting.keys)
            verify_plaintexts(public, numbers, PlaintextProof.decode(proof, public), transcript)
        except CryptoError as error:
            raise UpdateRejected("proof", str(error)) from error
        return Masked(numbers, arrays, trained.cid, trained.samples)


class ListPhase(_ThresholdPhase[bytes]):
    """Trainers sign the list of which a sum may be opened."""

    name: ClassVar[str] = "list"
    signs: ClassVar = (LIST,)

    def details(self, round: Round, subject: Listed) -> Mapping[str, Any]:
        """Tell the list."""
        return {**super().details(round, subject), "entries": subject.list.plain()}

    def pose(self, round: Round, subject: Listed) -> Mapping[str, Any]:  # noqa: ARG002 - Phase
        """Send the masked updates, each under its trainer's account."""
        return {account: to_record(arrays) for account, arrays in subject.contents.items()}

    def parse(self, given: Given, round: Round, subject: Listed) -> bytes:  # noqa: ARG002 - Phase
        """Return the digest signed."""
        if given.signed[LIST.name]["list"] != subject.digest:
            raise UpdateRejected("list", "it signs another list")
        return subject.digest


class SharesPhase(_ThresholdPhase[list[int]]):
    """Trainers give decryption shares of the sum, with their proof."""

    name: ClassVar[str] = "shares"
    signs: ClassVar = (SHARES_SIGNED,)
    provable: ClassVar[frozenset[str]] = frozenset({"share"})

    def layout(self, round: Round) -> Layout:  # noqa: ARG002 - the same in every round
        """Return the layout of decryption shares."""
        return share_layout(self._setting.keys, self._setting.count)

    def details(self, round: Round, subject: Listed) -> Mapping[str, Any]:
        """Tell the list, and who has signed it."""
        return {
            **super().details(round, subject),
            "entries": subject.list.plain(),
            "signatures": {account: one.hex() for account, one in subject.signatures.items()},
        }

    def parse(self, given: Given, round: Round, subject: Listed) -> list[int]:
        """Return the decryption shares."""
        if given.signed[SHARES_SIGNED.name]["list"] != subject.digest:
            raise UpdateRejected("list", "its shares are said to be of another list")
        arrays = self._content(given, round)
        return _shares(arrays, subject.product, given.party, round, self._setting)


class OpenedPhase(_ThresholdPhase[Opening]):
    """Trainers lift the sum's roots to messages, each a part of them."""

    name: ClassVar[str] = "opened"
    signs: ClassVar = (OPENED,)
    provable: ClassVar[frozenset[str]] = frozenset({"opened"})

    def __init__(self, setting: Setting, parts: int) -> None:
        super().__init__(setting)
        self._most = part_of(0, parts, setting.count).stop

    def layout(self, round: Round) -> Layout:  # noqa: ARG002 - the same for all
        """Return the layout of the longest part's messages."""
        return part_layout(self._setting.keys, self._most)

    def whom(self, round: Round, subject: Listed) -> Collection[str]:  # noqa: ARG002 - Phase
        """Ask those who gave their shares."""
        return subject.openers

    def details(self, round: Round, subject: Listed) -> Mapping[str, Any]:
        """Tell the list, and whose turn each part is."""
        return {
            **super().details(round, subject),
            "entries": subject.list.plain(),
            "openers": list(subject.openers),
        }

    def pose(self, round: Round, subject: Listed) -> Mapping[str, Any]:  # noqa: ARG002 - Phase
        """Send the roots."""
        return {ROOTS: to_record({ROOTS: digits(subject.roots, self._setting.keys.width)})}

    def parse(self, given: Given, round: Round, subject: Listed) -> Opening:
        """Return the messages of its part, once they are those of its ciphertexts."""
        said = given.signed[OPENED.name]
        if given.party not in subject.openers:
            raise UpdateRejected("list", "it is not asked for a part of the sum")
        number = subject.openers.index(given.party)
        asked = subject.digest, number, len(subject.openers)
        if (said["list"], said["part"], said["parts"]) != asked:
            raise UpdateRejected("list", "it opens another part, or of another list")
        keys = self._setting.keys
        part = part_of(number, len(subject.openers), len(subject.product))
        numbers = numbers_of(self._content(given, round)[MESSAGES])
        size = part.stop - part.start
        if any(numbers[size:]):
            raise UpdateRejected("opened", "there is something behind the messages of its part")
        opening = Opening(tuple(numbers[:size]), tuple(subject.roots[part]))
        transcript = transcript_of(round.domain, given.party, self._setting.terms, keys)
        try:
            check_opening(keys, subject.product[part], opening, transcript)
        except CryptoError as error:
            raise UpdateRejected("opened", str(error)) from error
        return opening


def number_of(round: Round, party: str) -> int:
    """Return the number that a trainer has among the keys' trainers, for the whole run.

    Who was excluded by a verdict is a client no longer, and the others keep their numbers.
    """
    return round.terms.registered.index(party) + 1


def _shares(
    arrays: Mapping[str, Any],
    ciphertexts: Sequence[int],
    party: str,
    round: Round,
    setting: Setting,
) -> list[int]:
    """Return decryption shares, once their proof holds for the trainer that gave them."""
    keys = setting.keys
    number = number_of(round, party)
    transcript = transcript_of(round.domain, party, setting.terms, keys)
    try:
        numbers = decode_numbers("shares", keys, bytes_of(arrays, SHARES), len(ciphertexts))
        proof = ShareProof.decode(bytes_of(arrays, PROOF), keys)
        verify_shares(keys, ciphertexts, numbers, proof, transcript, trainer=number)
    except CryptoError as error:
        raise UpdateRejected("share", str(error)) from error
    return numbers
