"""What a client signs: what its phase's handler lists, with its own account, by its journal."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from fedledger.effects import Entropy
from fedledger.errors import AccountError, CallError, ConfigError
from fedledger.records import LEDGER, SEEN, Signatures, SigningRequest, without_request

from ..ledger_plugins.accounts import Account, decode_transaction
from ..ledger_plugins.addresses import checksum_address
from ..ledger_plugins.base import CallTerms, UnsignedTransaction
from ..ledger_plugins.contracts import cid_text
from ..ledger_plugins.contracts.identities.keys import FlowerKey
from ..ledger_plugins.openings import Opening, Pending, veil, veil_key
from ..ledger_plugins.signing import Call, Domain, Statement, plain_values
from ..ledger_plugins.storage.cid import cid_of, cid_to_bytes
from .contents import OwnStore, emptied, fetched
from .journal import Journal
from .kept import Kept, KeptAnswers
from .keyring import Keyring
from .node import check_node, proof_of
from .phases import PHASES, Answered, Asked, PhaseHandler

__all__ = ["Signer", "check_registered", "domain_of", "handler_of"]

_CID = "cid"


@dataclass(frozen=True, slots=True, eq=False)
class Signer:
    """A client that signs: what `signing_mod` is for one message, whoever brings it.

    Attributes:
        account: signs.
        journal: what it has to remember.
        salt: gives its 32 secret bytes for a round.
        pending: where contents wait whose submissions are sealed; None: it seals nothing.
        kept: what it has answered; None: asked again, it answers anew.
        node: the key of the SuperNode that it runs on, if that is known.
        own: its store, for models that travel by it; None: it takes none.
        keyring: what it keeps of threshold keys.
        entropy: where handlers draw secrets.
    """

    account: Account
    journal: Journal
    salt: Callable[[Domain], bytes]
    keyring: Keyring
    entropy: Entropy
    pending: Pending | None = None
    kept: KeptAnswers | None = None
    node: FlowerKey | None = None
    own: OwnStore | None = None

    def answer(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Answer a message that asks for signatures; the app sees it without what asks for them.

        Asked again for what is sealed, or what its handler keeps, it answers what it has answered.

        Raises:
            FedledgerError: as of `signing_mod`.
        """
        request = asked_of(message)
        self.journal.check(request)
        once = request.sealed or handler_of(request).keeps
        kept = self.before(request) if once else None
        reply = None
        if kept is None:
            answered = self.ask(request, message, context, call_next)
            if answered.reply.has_error():
                return answered.reply
            reply = answered.reply
            kept = self.seal(request, answered)
            kept = self.hand_over(request, answered, kept)
            if once and self.kept is not None:
                self.kept.keep(request, self.account.address, kept)
        return replied(message, reply, kept, self.sign(request, kept.values))

    def before(self, request: SigningRequest) -> Kept | None:
        """Return what was answered to the same request, or None."""
        return None if self.kept is None else self.kept.find(request, self.account.address)

    def ask(
        self,
        request: SigningRequest,
        message: Message,
        context: Context,
        call_next: ClientAppCallable,
    ) -> Answered:
        """Let the phase's handler answer; nothing is signed.

        What the message refers to is fetched before; where models travel by the store, the reply
        leaves its model out (`hand_over`).

        Raises:
            FedledgerError: as of `signing_mod`.
        """
        handler = handler_of(request)
        check_registered(self.account, request)
        check_node(request, self.account.address, self.node)
        whole = message.content
        message.content = fetched(without_request(whole), self.own)
        try:
            answered = handler.answer(
                Asked(
                    message=message,
                    context=context,
                    domain=domain_of(request),
                    app=lambda asked: call_next(asked, context),
                    task=request.task,
                    round=request.round,
                    account=self.account.address,
                    details=request.details,
                    salt=self.salt(domain_of(request)),
                    journal=self.journal,
                    bind=partial(self.journal.once, request),
                    first=partial(self.journal.first, request),
                    before=partial(self.journal.before, request),
                    keyring=self.keyring,
                    entropy=self.entropy,
                )
            )
            if _by_store(request, answered):
                reply = answered.reply
                reply.content = emptied(reply.content, message.content)
            return answered
        finally:
            message.content = whole  # mods outside may look at it

    def seal(self, request: SigningRequest, answered: Answered) -> Kept:
        """Return an answer as it is signed: sealed, it names its opening, and its content waits.

        Raises:
            ConfigError: the handler gives no content, or there is nowhere to wait.
            AccountError: it cannot be kept.
        """
        records = RecordDict({**answered.reply.content})
        names = [name for name, values in answered.values.items() if _CID in values]
        if not (request.sealed and names):
            return Kept(records, answered.values)
        if not answered.content or self.pending is None:
            lacks = "nowhere to wait" if answered.content else "no content (`Answered.content`)"
            raise ConfigError(
                f"phase {request.phase!r} is sealed, and what its handler answers has {lacks}"
            )
        named = cid_text(answered.values[names[0]][_CID])
        opening = Opening.of(self.account, domain_of(request), named)
        self.pending.keep(opening, answered.content)
        sealed = {_CID: cid_to_bytes(opening.cid)}
        values = {
            name: {**given, **(sealed if _CID in given else {})}
            for name, given in answered.values.items()
        }
        return Kept(records, values, opening.encode())

    def hand_over(self, request: SigningRequest, answered: Answered, kept: Kept) -> Kept:
        """Put an answer's content into the client's store, where its reply only names it.

        A sealed one goes there under a veil; the answer is returned with the key.

        Raises:
            ConfigError: the client has no store that does.
            StoreError: it does not take the content.
        """
        if not _by_store(request, answered):
            return kept
        if self.own is None:
            raise ConfigError("this client has no store: it cannot leave its model out of a reply")
        if not kept.opening:
            named = next(values[_CID] for values in answered.values.values() if _CID in values)
            self.own.put(answered.content, cid_text(named))
            return kept
        key = veil_key(self.account, Opening.decode(kept.opening))
        data = veil(key, answered.content)
        cid = cid_of(data)
        self.own.put(data, cid)
        return replace(kept, veiled=(cid_to_bytes(cid), key))

    def sign(self, request: SigningRequest, values: Mapping[str, Mapping[str, Any]]) -> Signatures:
        """Sign what a phase asks for, and put it down in the journal.

        Args:
            request: what is asked.
            values: name of each call and statement to its values (`Kept.values`).

        Raises:
            AccountError: the account or its node is not registered, or the journal forbids it.
            ConfigError: the request asks for something else than the phase does.
        """
        handler = handler_of(request)
        address = self.account.address
        check_registered(self.account, request)
        check_node(request, address, self.node)
        signatures, hashes = _sign(self.account, handler, request, values)
        signatures = self.tied(request, signatures, values)
        self.journal.remember(request, hashes)
        return signatures

    def tied(
        self,
        request: SigningRequest,
        signatures: Signatures,
        values: Mapping[str, Mapping[str, Any]],
    ) -> Signatures:
        """Return what was signed with the statement of the node's key, where it is asked for.

        Args:
            request: what is asked.
            signatures: what was signed.
            values: name of each statement to its values.
        """
        if not request.node_keys or self.node is None:
            return signatures
        calls = iter(signatures.transactions)
        signed = {
            one.name: one.decode(decode_transaction(next(calls)).unsigned.data)
            if isinstance(one, Call)
            else values[one.name]
            for one in handler_of(request).signed(request)
        }
        proof = proof_of(request, self.account.address, self.node, signed)
        return replace(signatures, node_proof=proof)


def asked_of(message: Message) -> SigningRequest:
    """Return what a message asks to sign; ConfigError where it asks for nothing."""
    request = SigningRequest.of(message.content)
    if request is None:
        raise ConfigError("the message asks for no signatures")
    return request


def _by_store(request: SigningRequest, answered: Answered) -> bool:
    """Tell whether an answer's content goes to the store: it does where what is signed names it."""
    named = any(_CID in values for values in answered.values.values())
    return bool(request.by_reference and answered.content and named)


def replied(message: Message, reply: Message | None, kept: Kept, signatures: Signatures) -> Message:
    """Return the reply with what was signed; made anew where the answer is one from before."""
    found = reply or Message(RecordDict(), reply_to=message)
    openings = (kept.opening,) if kept.opening else ()
    whole = replace(signatures, openings=openings, veiled=kept.veiled)
    found.content = RecordDict({**kept.content, LEDGER: whole.to_record()})
    return found


def handler_of(request: SigningRequest) -> PhaseHandler:
    """Return the handler of a request's phase, once it is asked for what it signs."""
    handler: PhaseHandler = PHASES.load(request.phase)()
    _check_asked(handler, request)
    return handler


def check_registered(account: Account, request: SigningRequest) -> None:
    """Check that a request may be meant for an account; AccountError where it is not."""
    if account.address not in request.clients:
        raise AccountError(
            f"account {account.address} is not registered for task {request.task}: "
            "ask its owner to add it to the task's clients"
        )


def _check_asked(handler: PhaseHandler, request: SigningRequest) -> None:
    signs = handler.signed(request)
    calls = [one.name for one in signs if isinstance(one, Call)]
    types = [one.type for one in signs if isinstance(one, Statement)]
    asked = [one.name for one in request.calls], [one.type for one in request.statements]
    pinned = any(one.pins for one in signs if isinstance(one, Call))
    if asked != (calls, types):
        raise ConfigError(
            f"phase {request.phase!r} signs {calls + types}, the server asks for {asked}: "
            "install the same packages on both"
        )
    try:
        for address in (request.contract, *(call.contract for call in request.calls)):
            checksum_address(address)
    except CallError as error:
        raise ConfigError(f"signing request: {error}") from error
    if pinned and not request.seen:
        raise ConfigError(f"phase {request.phase!r} names a block, and the server names none")


def _sign(
    account: Account,
    handler: PhaseHandler,
    request: SigningRequest,
    given: Mapping[str, Mapping[str, Any]],
) -> tuple[Signatures, dict[str, str]]:
    """Return what is signed, and the hash of each call and statement by its name."""
    nonce = request.nonces[list(request.clients).index(account.address)]
    domain = domain_of(request)
    asked = iter(request.calls)
    transactions: list[bytes] = []
    statements: list[tuple[str, bytes]] = []
    hashes: dict[str, str] = {}
    for one in handler.signed(request):
        values = given[one.name]
        if isinstance(one, Call):
            call = next(asked)
            terms = CallTerms(
                request.chain_id,
                call.contract,
                call.gas,
                call.max_fee_per_gas,
                call.max_priority_fee_per_gas,
            )
            data = one.encode({**_place(one, request), **values})
            unsigned = UnsignedTransaction(terms, nonce + len(transactions), data)
            transactions.append((signed := account.sign(unsigned)).raw)
            hashes[one.name] = signed.hash
        else:
            digest = one.digest(domain, values)
            statements.append((json.dumps(plain_values(values)), account.sign_digest(digest)))
            hashes[one.name] = "0x" + digest.hex()
    return Signatures(request.phase, transactions, statements), hashes


def domain_of(request: SigningRequest) -> Domain:
    """Return where statements and openings of a request hold."""
    return Domain(request.chain_id, request.contract, request.task, request.round)


def _place(call: Call, request: SigningRequest) -> dict[str, Any]:
    """Return what the library itself puts into a call: where it belongs, and what it stands on."""
    known: dict[str, Any] = {"task": request.task, "round": request.round}
    if call.pins:
        known[SEEN] = bytes.fromhex(request.seen[2:])
    return {name: value for name, value in known.items() if name in call.inputs}
