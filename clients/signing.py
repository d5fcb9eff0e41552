"""The mod that makes a ClientApp's replies evidence: `ClientApp(mods=[signing_mod])`.

It runs on the client. When the server asks for signatures, the mod hands the message to the handler
of its phase, signs what the phase lists with the client's own account, and puts it down in the
client's journal before the reply leaves. The server can relay what was signed but not forge it.
"""

import json
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
from .phases import PHASES, Answered, Asked, PhaseHandler

__all__ = ["signing_mod"]


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
    handler: PhaseHandler = PHASES.load(request.phase)()
    _check_asked(handler, request)
    disk = _real().disk
    account = account_of(message, context, disk)
    if account.address not in request.clients:
        raise AccountError(
            f"account {account.address} is not registered for task {request.task}: "
            "ask its owner to add it to the task's clients"
        )
    journal = journal_of(message, context, request, disk)
    journal.check(request)
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
                account=account.address,
                details=request.details,
                salt=salt_of(message, context, account, _domain(request)),
                journal=journal,
                bind=partial(journal.once, request),
                first=partial(journal.first, request),
                before=partial(journal.before, request),
            )
        )
    finally:
        message.content = whole  # mods outside may look at it
    if answered.reply.has_error():
        return answered.reply
    signatures, hashes = _sign(account, handler, request, answered)
    journal.remember(request, hashes)
    answered.reply.content[LEDGER] = signatures.to_record()
    return answered.reply


@cache
def _real() -> Effects:
    """Return this machine's effects: Flower starts a client here, once for each message."""
    return Effects.real()


def _check_asked(handler: PhaseHandler, request: SigningRequest) -> None:
    calls = [one.name for one in handler.signs if isinstance(one, Call)]
    types = [one.type for one in handler.signs if isinstance(one, Statement)]
    asked = [one.name for one in request.calls], [one.type for one in request.statements]
    pinned = any(one.pins for one in handler.signs if isinstance(one, Call))
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
    account: Account, handler: PhaseHandler, request: SigningRequest, answered: Answered
) -> tuple[Signatures, dict[str, str]]:
    """Return what is signed, and the hash of each call and statement by its name."""
    nonce = request.nonces[list(request.clients).index(account.address)]
    domain = _domain(request)
    asked = iter(request.calls)
    transactions: list[bytes] = []
    statements: list[tuple[str, bytes]] = []
    hashes: dict[str, str] = {}
    for one in handler.signs:
        values = answered.values[one.name]
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
