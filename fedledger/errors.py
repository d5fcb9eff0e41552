"""Every error this library raises on purpose, as one tree.

FedledgerError                  never raised itself; catch it to catch everything below
├── ConfigError                 a setting is wrong: says which, where and what would be right
│   └── UnknownNameError        a rule, attack, data set, parameter … nobody registered
├── AccountError                a key or keystore cannot be used
├── LedgerError
│   ├── CallError               unknown contract or function, wrong argument: nothing was sent
│   ├── ContractError           the contract refused: its error's name and arguments
│   ├── TransactionRefused      the ledger refused before execution: signature, nonce, chain
│   ├── MalformedTransaction    bytes that are no transaction, with the field
│   ├── MalformedBlock          bytes that are no block, with the field
│   ├── ChainCorrupted          what is on disk does not verify, with the block
│   ├── TransactionsLost        a reorganisation took calls away that cannot be made again
│   ├── Reorganised             a cursor's block is not on the chain any more: says where to go on
│   ├── UnknownBlock            the ledger has no block with this index
│   └── LedgerUnavailable       cannot be reached, opened or locked
│       ├── ContractMissing     a contract of the chain is not installed here, or is another one
│       └── OpenedReadOnly      opened to read: it takes no transactions
├── StoreError
│   ├── InvalidCid              not a CID this store computes
│   ├── ContentNotFound         nothing stored under the CID
│   ├── ContentCorrupted        what is stored does not hash to its CID
│   ├── ContentTooLarge         above the size cap
│   ├── ContentPinned           a pin keeps it: it is not deleted
│   ├── StoreUnsupported        this store has no pins, or cannot delete
│   └── StoreUnavailable        cannot be reached, read or written
│       ├── StoreReadOnly       opened to read: it takes and changes nothing
│       ├── StoreTimedOut       it did not answer by the deadline
│       └── StoreInconsistent   it contradicts itself: other sizes, a pin it does not list
├── TransportError              a party cannot be asked, with its URL
│   ├── NoAnswer                there was none; the party may have got the question
│   ├── AnswerTooLarge          above the asker's cap
│   └── AnswerTooSlow           above the asker's deadline
├── CryptoError                 a key, ciphertext, share or proof is not what it has to be
├── ModelError                  bytes or arrays that are no model of the expected layout
├── AggregationError
│   ├── TooFewUpdates           n is too small for the number of byzantine clients
│   └── InvalidUpdate           a row that is empty, not finite, or of another length
├── UpdateRejected              a client's reply is unusable: reason code and detail
├── AuditError                  the evidence does not support what the ledger says
├── NotChecked                  it could not be checked: unreachable, or nothing there
│   └── NotInstalled            a protocol or rule that is not installed here, or in another version
├── DataError                   a data set cannot be fetched, or its cached copy is damaged
└── RunError                    an experiment could not be run, resumed or read
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar

from .urls import mask_text

__all__ = [
    "AccountError",
    "AggregationError",
    "AnswerTooLarge",
    "AnswerTooSlow",
    "AuditError",
    "CallError",
    "ChainCorrupted",
    "ConfigError",
    "ContentCorrupted",
    "ContentNotFound",
    "ContentPinned",
    "ContentTooLarge",
    "ContractError",
    "ContractMissing",
    "CryptoError",
    "DataError",
    "FedledgerError",
    "InvalidCid",
    "InvalidUpdate",
    "LedgerError",
    "LedgerUnavailable",
    "MalformedBlock",
    "MalformedTransaction",
    "ModelError",
    "NoAnswer",
    "NotChecked",
    "NotInstalled",
    "OpenedReadOnly",
    "Reorganised",
    "RunError",
    "StoreError",
    "StoreInconsistent",
    "StoreReadOnly",
    "StoreTimedOut",
    "StoreUnavailable",
    "StoreUnsupported",
    "TooFewUpdates",
    "TransactionRefused",
    "TransactionsLost",
    "TransportError",
    "UnknownBlock",
    "UnknownNameError",
    "UpdateRejected",
]


class FedledgerError(Exception):
    """Base of every error of this library; never raised itself. Keys in URLs are masked."""

    def __init__(self, *said: object) -> None:
        super().__init__(*(mask_text(one) if isinstance(one, str) else one for one in said))


class ConfigError(FedledgerError, ValueError):
    """A setting is wrong."""


class UnknownNameError(ConfigError):
    """A name nobody registered; the message names the nearest known one.

    Attributes:
        kind: what was looked up ("rule", "attack", "parameter of krum", …).
        name: the unknown name.
        known: the names that exist, sorted.
        nearest: the known name most like it, or None.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(sorted(known))
        matches = get_close_matches(name, self.known, n=1, cutoff=0.4)
        self.nearest: str | None = matches[0] if matches else None
        hint = f"did you mean {self.nearest!r}? " if self.nearest else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}known: {', '.join(self.known) or 'none'}")


class AccountError(FedledgerError):
    """A key or a keystore cannot be used."""


class LedgerError(FedledgerError):
    """Base of what a ledger raises."""


class CallError(LedgerError, ValueError):
    """The call cannot be made: unknown contract, function, argument type or range (clause L10)."""


class ContractError(LedgerError):
    """A contract refused a call and nothing changed (clause L2).

    Attributes:
        contract: the contract's name.
        error: the error's name in the contract's ABI.
        arguments: the error's arguments by name.
        names: what values are called in messages, by argument and value: ids of roles.
    """

    names: ClassVar[dict[tuple[str, str], str]] = {}

    def __init__(self, contract: str, error: str, arguments: Mapping[str, Any]) -> None:
        self.contract = contract
        self.error = error
        self.arguments = dict(arguments)
        said = [
            (k, f"0x{v.hex()}" if isinstance(v, bytes) else repr(v)) for k, v in arguments.items()
        ]
        inside = ", ".join(f"{key}={self.names.get((key, one), one)}" for key, one in said)
        super().__init__(f"{contract}: {error}({inside})")


class TransactionRefused(LedgerError):
    """The ledger refused a transaction before executing it (clause L1).

    Attributes:
        reason: a short code: "signature", "nonce", "chain", "contract", "value", "replay"; where
            calls cost something also "fee" (its cap is below the base fee), "funds" (its sender
            cannot pay), "gas" (its gas limit is too low) and "node" (the node's own reason); on
            a node "sender" (too many of its calls wait already).
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(f"transaction refused ({reason}): {detail}")


class MalformedTransaction(LedgerError, ValueError):
    """Bytes that are no transaction; `field` is the one that is wrong."""

    def __init__(self, field: str, detail: str) -> None:
        self.field = field
        super().__init__(f"malformed transaction, field {field!r}: {detail}")


class MalformedBlock(LedgerError, ValueError):
    """Bytes that are no block; `field` is the one that is wrong."""

    def __init__(self, field: str, detail: str) -> None:
        self.field = field
        super().__init__(f"malformed block, field {field!r}: {detail}")


class ChainCorrupted(LedgerError):
    """The chain on disk does not verify; `block` is the first that cannot be trusted."""

    def __init__(self, block: int, detail: str) -> None:
        self.block = block
        super().__init__(f"chain corrupted at block {block}: {detail}")


class TransactionsLost(LedgerError):
    """A reorganisation took acknowledged calls away, and they could not be made again (clause L8).

    Attributes:
        lost: hash of each such transaction to why it could not be submitted again.
        resubmitted: hashes of those that disappeared too and are on the ledger again.
    """

    def __init__(self, lost: Mapping[str, str], resubmitted: Iterable[str] = ()) -> None:
        self.lost = dict(lost)
        self.resubmitted = tuple(resubmitted)
        inside = "; ".join(f"{hash_}: {why}" for hash_, why in self.lost.items())
        super().__init__(f"the ledger was reorganised and lost {len(self.lost)} calls: {inside}")


class Reorganised(LedgerError):
    """A cursor's block was replaced: what was read after the common block did not happen (L14).

    Forget the events of blocks after `common`, then follow on from `resume`.

    Attributes:
        block: index of the cursor's block.
        common: index of the newest block of the cursor's chain that is known to be still there, or
            None when there is none: begin anew.
        resume: the text of a cursor behind that block, which `Ledger.follow` takes; None likewise.
    """

    def __init__(self, block: int, common: int | None, resume: str | None) -> None:
        self.block, self.common, self.resume = block, common, resume
        onward = "begin anew" if common is None else f"go on behind block {common}, which is"
        super().__init__(f"block {block} of the cursor is not on the chain any more: {onward}")


class UnknownBlock(LedgerError, KeyError):
    """The ledger has no such block.

    Attributes:
        block: the index asked for.
        newest: the newest block's index.
    """

    def __init__(self, block: int, newest: int) -> None:
        self.block, self.newest = block, newest
        super().__init__(f"there is no block {block}: the newest is {newest}")

    def __str__(self) -> str:  # KeyError's would quote it
        return str(self.args[0])


class LedgerUnavailable(LedgerError):
    """The ledger cannot be reached, opened or locked."""


class ContractMissing(LedgerUnavailable):
    """A contract of the chain is not installed here, or is another one: nothing is guessed.

    Attributes:
        contract: its name.
        version: its version on the chain.
    """

    def __init__(self, contract: str, version: int, why: str) -> None:
        self.contract, self.version = contract, version
        super().__init__(why)


class OpenedReadOnly(LedgerUnavailable):
    """The ledger at `url` was opened to read only and takes no transactions (clause L15)."""

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(f"{url} was opened to read only: it takes no transactions")


class StoreError(FedledgerError):
    """Base of what a content store raises."""


class InvalidCid(StoreError, ValueError):
    """Not a CID of the kind this store computes.

    Attributes:
        cid: what was given.
    """

    def __init__(self, cid: object, detail: str) -> None:
        self.cid = cid
        super().__init__(f"invalid CID {cid!r}: {detail}")


class ContentNotFound(StoreError):
    """Nothing is stored under `cid`; `hint` says what to do, after a comma."""

    def __init__(self, cid: str, hint: str = "") -> None:
        self.cid = cid
        super().__init__(f"nothing stored under {cid}{hint}")


class ContentCorrupted(StoreError):
    """What is stored does not hash to its CID.

    Attributes:
        cid: the CID asked for.
        actual: the CID of what was found, when it could be computed.
    """

    def __init__(self, cid: str, actual: str | None, hint: str = "") -> None:
        self.cid, self.actual = cid, actual
        found = actual or "nothing valid"
        super().__init__(f"content of {cid} is corrupted: it hashes to {found}{hint}")


class ContentTooLarge(StoreError):
    """Content of `size` bytes, found or offered, is above the cap of `limit` bytes."""

    def __init__(self, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        super().__init__(f"content of {size} bytes is above the cap of {limit} bytes")


class ContentPinned(StoreError):
    """A pin keeps the content of `cid`: it is not deleted."""

    def __init__(self, cid: str) -> None:
        self.cid = cid
        super().__init__(f"{cid} is pinned: unpin it before it is deleted")


class StoreUnsupported(StoreError):
    """The store cannot do this at all.

    Attributes:
        operation: what was asked ("pin", "delete", …).
        url: the store's URL.
    """

    def __init__(self, operation: str, url: str) -> None:
        self.operation, self.url = operation, url
        super().__init__(f"{url} cannot {operation}: its backend does not offer it")


class StoreUnavailable(StoreError):
    """The store cannot be reached, read or written; `lasting`: waiting changes nothing."""

    def __init__(self, why: str = "", *, lasting: bool = False) -> None:
        self.lasting = lasting
        super().__init__(why)


class StoreReadOnly(StoreUnavailable):
    """The store at `url` was opened to read only: it takes and changes nothing (S12)."""

    def __init__(self, url: str) -> None:
        self.url = url
        why = f"{url} was opened to read only: it takes and changes nothing"
        super().__init__(why, lasting=True)


class StoreTimedOut(StoreUnavailable):
    """The store did not answer by the deadline; what it was asked to change may still happen.

    Attributes:
        operation: what was asked ("get", "put", …).
        what: the CID, or in words what it was about.
        seconds: the time it had.
    """

    def __init__(self, operation: str, what: str, seconds: float) -> None:
        self.operation, self.what, self.seconds = operation, what, seconds
        super().__init__(f"{operation} {what}: no answer of the store within {seconds:g} s")


class StoreInconsistent(StoreUnavailable):
    """A store contradicts itself about `cid`: nothing it says of it can be believed."""

    def __init__(self, cid: str, detail: str) -> None:
        self.cid = cid
        super().__init__(f"the store contradicts itself about {cid}: {detail}")


class TransportError(FedledgerError):
    """The party at the URL `party` cannot be asked."""

    def __init__(self, party: str, why: str) -> None:
        self.party = party
        super().__init__(f"{party}: {why}")


class NoAnswer(TransportError):
    """There was no answer, or it broke off; the party may have got the question."""


class AnswerTooLarge(TransportError):
    """A party answers more than `most` bytes, which is what the asker takes."""

    def __init__(self, party: str, most: int) -> None:
        self.most = most
        super().__init__(party, f"it answers more than {most} bytes")


class AnswerTooSlow(TransportError):
    """A party's answer does not come within `seconds`."""

    def __init__(self, party: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(party, f"it answers too slowly: nothing more came in {seconds:g} s")


class CryptoError(FedledgerError, ValueError):
    """A key, ciphertext, share or proof is not what it has to be; `what` is the one, or its part.

    No secret is ever in its text.
    """

    def __init__(self, what: str, detail: str) -> None:
        self.what = what
        super().__init__(f"{what}: {detail}")


class ModelError(FedledgerError, ValueError):
    """Bytes or arrays that are no model of the expected layout."""


class AggregationError(FedledgerError, ValueError):
    """Base of what an aggregation rule raises."""


class TooFewUpdates(AggregationError):
    """n is too small for the number of byzantine clients the rule is asked to tolerate.

    Attributes:
        rule: the rule's name.
        n: number of updates given.
        byzantine: number of byzantine clients to tolerate.
        required: the smallest n the rule accepts.
    """

    def __init__(self, rule: str, n: int, byzantine: int, required: int) -> None:
        self.rule, self.n, self.byzantine, self.required = rule, n, byzantine, required
        super().__init__(
            f"{rule} needs at least {required} updates to tolerate {byzantine} byzantine clients, "
            f"got {n}"
        )


class InvalidUpdate(AggregationError):
    """An update that no rule may see.

    Attributes:
        row: its position in the sequence given, or None where the whole input is meant.
    """

    def __init__(self, row: int | None, detail: str) -> None:
        self.row = row
        where = "updates" if row is None else f"update {row}"
        super().__init__(f"{where}: {detail}")


class UpdateRejected(FedledgerError):
    """A client's reply is unusable; the round goes on without it.

    Attributes:
        reason: a short code that goes into the round's evidence.
        detail: what was wrong, for people.
        party: the account that has signed it, where that is certain, or None.
    """

    party: str | None = None

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class AuditError(FedledgerError):
    """The evidence does not support what the ledger says."""


class NotChecked(FedledgerError):
    """Something could not be checked, which is neither a pass nor a failure.

    What is needed is not installed, cannot be reached, or is not there.
    """


class NotInstalled(NotChecked):
    """A protocol or rule is not installed here, or in another version than was used."""


class DataError(FedledgerError):
    """A data set cannot be fetched, or its cached copy is damaged."""


class RunError(FedledgerError):
    """An experiment could not be run, resumed or read."""
