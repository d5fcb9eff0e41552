"""The mod that makes a ClientApp's replies evidence: `ClientApp(mods=[signing_mod])`.

It runs on the client. When the server asks for signatures, the mod hands the message to the handler
of its phase, signs what the phase lists with the client's own account, and puts it down in the
client's journal before the reply leaves. The server can relay what was signed but not forge it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedledger.effects import Effects
from fedledger.errors import AccountError, CallError, ConfigError
from fedledger.records import LEDGER, SEEN, Signatures, SigningRequest, without_request

from ..ledger_plugins.accounts import Account
from ..ledger_plugins.addresses import checksum_address
from ..ledger_plugins.base import CallTerms, UnsignedTransaction
from ..ledger_plugins.signing import Call, Domain, Statement, plain_values
from .identity import account_of, journal_of, salt_of
from .journal import Journal
from .phases import PHASES, Asked, PhaseHandler

__all__ = ["Signer", "signing_mod"]


def signing_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Answer a phase and sign the reply; leave every other message alone.

    Raises:
        ConfigError: the client has no account, the server speaks another version, or asks to sign
            something else than the phase does.
        UnknownNameError: a phase that is not installed here.
        AccountError: the account cannot be used or is not registered, or the journal forbids it.
        ModelError: the reply's arrays do not fit the global model.
    """
    request = SigningRequest.of(message.content)
    if request is None:
        return call_next(message, context)
    _handler_of(request)
    disk = _real().disk
    account = account_of(message, context, disk)
    _check_registered(account, request)
    journal = journal_of(message, context, request, disk)
    signer = Signer(account, journal, lambda domain: salt_of(message, context, account, domain))
    return signer.answer(message, context, call_next)


@dataclass(frozen=True, slots=True, eq=False)
class Signer:
    """A client that signs: what `signing_mod` is for one message, whoever brings it.

    Attributes:
        account: signs.
        journal: what it has to remember.
        salt: gives its 32 secret bytes for a round.
    """

    account: Account
    journal: Journal
    salt: Callable[[Domain], bytes]

    def answer(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Answer a message that asks for signatures; the app sees it without what asks for them.

        Raises:
            FedledgerError: as of `signing_mod`.
        """
        request = SigningRequest.of(message.content)
        if request is None:
            raise ConfigError("the message asks for no signatures")
        handler = _handler_of(request)
        _check_registered(self.account, request)
        self.journal.check(request)
        whole = message.content
        message.content = without_request(whole)
        try:
            answered = handler.answer(
                Asked(
                    message=message,
                    context=context,
                    app=lambda asked: call_next(asked, context),
                    task=request.task,
                    round=request.round,
                    account=self.account.address,
                    details=request.details,
                    salt=self.salt(_domain(request)),
                    journal=self.journal,
                    bind=partial(self.journal.once, request),
                    first=partial(self.journal.first, request),
                    before=partial(self.journal.before, request),
                )
            )
        finally:
            message.content = whole  # mods outside may look at it
        if answered.reply.has_error():
            return answered.reply
        answered.reply.content[LEDGER] = self.sign(request, answered.values).to_record()
        return answered.reply

    def sign(self, request: SigningRequest, values: Mapping[str, Mapping[str, Any]]) -> Signatures:
        """Sign what a phase asks for, and put it down in the journal.

        Args:
            request: what is asked.
            values: name of each call and statement to its values (`Answered.values`).

        Raises:
            AccountError: the account is not registered, or the journal forbids it.
            ConfigError: the request asks for something else than the phase does.
        """
        handler = _handler_of(request)
        _check_registered(self.account, request)
        signatures, hashes = _sign(self.account, handler, request, values)
        self.journal.remember(request, hashes)
        return signatures


def _handler_of(request: SigningRequest) -> PhaseHandler:
    """Return the handler of a request's phase, once it is asked for what it signs."""
    handler: PhaseHandler = PHASES.load(request.phase)()
    _check_asked(handler, request)
    return handler


def _check_registered(account: Account, request: SigningRequest) -> None:
    if account.address not in request.clients:
        raise AccountError(
            f"account {account.address} is not registered for task {request.task}: "
            "ask its owner to add it to the task's clients"
        )


@cache
def _real() -> Effects:
    """Return this machine's effects: Flower starts a client here, once for each message."""
    return Effects.real()


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
    domain = _domain(request)
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


def _domain(request: SigningRequest) -> Domain:
    return Domain(request.chain_id, request.contract, request.task, request.round)


def _place(call: Call, request: SigningRequest) -> dict[str, Any]:
    """Return what the library itself puts into a call: where it belongs, and what it stands on."""
    known: dict[str, Any] = {"task": request.task, "round": request.round}
    if call.pins:
        known[SEEN] = bytes.fromhex(request.seen[2:])
    return {name: value for name, value in known.items() if name in call.inputs}
