"""A trainer opens a list's sum: its decryption shares, and then a part of the messages."""

from typing import Any, ClassVar

from flwr.app import Message, RecordDict

from fedledger.arrays import Arrays, Layout, from_record, to_record, to_safetensors
from fedledger.errors import AccountError, ConfigError, ModelError

from ....crypto.paillier import from_bytes
from ....crypto.paillier.cores import here
from ....crypto.threshold import ThresholdKeys, lift, partial_decryptions, prove_shares
from ....ledger_plugins.contracts.threshold_keys.contents import (
    MESSAGES,
    PROOF,
    ROOTS,
    SHARES,
    digits,
    numbers_of,
    part_of,
    row,
    transcript_of,
)
from ....ledger_plugins.contracts.threshold_keys.lists import count_signers
from ....ledger_plugins.contracts.threshold_keys.statements import OPENED
from ....ledger_plugins.contracts.threshold_keys.statements import SHARES as SHARES_SIGNED
from ....ledger_plugins.storage.cid import cid_of, cid_to_bytes
from ...phases import Answered, Asked, PhaseHandler
from .lists import BOUND, checked_list
from .specification import Known, known_of, share_of

__all__ = ["OpenedHandler", "SharesHandler"]


class SharesHandler(PhaseHandler):
    """Gives decryption shares of the product that it computed itself; the app is not asked.

    It does so for one list of a round, on the signatures of more than (n+t-1)/2 trainers over it.
    Asked again for the same list it gives the same shares.
    """

    signs: ClassVar = (SHARES_SIGNED,)

    def answer(self, asked: Asked) -> Answered:
        """Return the shares and their proof.

        Raises:
            AccountError: too few trainers have signed the list, it may not be opened, another one
                of the round is signed already, or this trainer has not computed its product.
        """
        known = known_of(asked)
        keys, _ = asked.keyring.kept(known.keys, known.place)
        _, digest = checked_list(asked, known)
        signers = count_signers(_signatures(asked), digest, asked.domain, known.trainers)
        if signers < known.terms.quorum:
            raise AccountError(
                f"{signers} of {known.terms.trainers} trainers have signed the list, and "
                f"{known.terms.quorum} are needed before anybody opens it"
            )
        asked.bind(BOUND, digest.hex())
        product = _product(asked, keys, digest)
        share = share_of(asked, keys)
        numbers = partial_decryptions(share, product, here())
        proof = prove_shares(
            share,
            product,
            numbers,
            transcript_of(asked.domain, asked.account, known.terms, keys),
            entropy=asked.entropy,
        )
        content = {SHARES: digits(numbers, keys.width), PROOF: row(proof.encode(keys))}
        return _answered(asked, SHARES, content, SHARES_SIGNED.name, {"list": digest})


class OpenedHandler(PhaseHandler):
    """Lifts the roots of its part of a sum to messages, which needs no secret."""

    signs: ClassVar = (OPENED,)

    def answer(self, asked: Asked) -> Answered:
        """Return the messages of its part.

        Raises:
            AccountError: the list is not the one that this trainer has signed.
            CryptoError: what came as roots are none.
        """
        known = known_of(asked)
        keys, _ = asked.keyring.kept(known.keys, known.place)
        _, digest = checked_list(asked, known)
        asked.bind(BOUND, digest.hex())
        product = _product(asked, keys, digest)
        number, parts = _part(asked, known)
        part = part_of(number, parts, len(product))
        most = part_of(0, parts, len(product)).stop
        layout = Layout((ROOTS,), ((len(product), keys.width),), ("uint8",))
        record = asked.message.content.array_records.get(ROOTS)
        if record is None:
            raise ModelError("the message has no roots of the sum")
        roots = numbers_of(from_record(record, layout, max_bytes=2 * layout.nbytes)[ROOTS])
        opened = lift(keys, product[part], roots[part], here())
        padding = [0] * (most - len(opened.messages))
        content = {MESSAGES: digits([*opened.messages, *padding], keys.width)}
        values = {"list": digest, "part": number, "parts": parts}
        return _answered(asked, MESSAGES, content, OPENED.name, values)


def _answered(
    asked: Asked, name: str, content: Arrays, statement: str, values: dict[str, Any]
) -> Answered:
    data = to_safetensors(content)
    reply = Message(RecordDict({name: to_record(content)}), reply_to=asked.message)
    return Answered(reply, {statement: {**values, "cid": cid_to_bytes(cid_of(data))}}, data)


def _product(asked: Asked, keys: ThresholdKeys, digest: bytes) -> list[int]:
    data = asked.keyring.product(digest)
    if data is None:
        raise AccountError(
            "this trainer has not computed the product of the list's ciphertexts, since it was "
            "never asked to sign the list: it opens nothing that others say is the product"
        )
    return from_bytes(keys.public, data, len(data) // keys.public.width)


def _part(asked: Asked, known: Known) -> tuple[int, int]:
    """Return which part of a sum a trainer opens, and how many parts there are."""
    openers = asked.details.get("openers")
    if not isinstance(openers, list) or asked.account not in openers:
        raise ConfigError("the message asks this trainer for no part of the sum")
    if len(openers) > known.terms.trainers:
        raise ConfigError(f"the message names {len(openers)} openers: more than there are trainers")
    return openers.index(asked.account), len(openers)


def _signatures(asked: Asked) -> dict[str, bytes]:
    given = asked.details.get("signatures")
    if not isinstance(given, dict):
        raise ConfigError("the message has no signatures of the list")
    try:
        return {str(account): bytes.fromhex(one) for account, one in given.items()}
    except (TypeError, ValueError) as error:
        raise ConfigError("a signature of the list is no hexadecimal") from error
