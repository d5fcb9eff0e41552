"""The mod that makes a ClientApp's replies evidence: `ClientApp(mods=[signing_mod])`.

It runs on the client. When the server asks for signatures, the mod hands the message to the handler
of its phase, signs what the phase lists with the client's own account, and puts it down in the
client's journal before the reply leaves. The server can relay what was signed but not forge it.
"""

from functools import cache

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedledger.effects import Effects
from fedledger.records import SigningRequest

from ..ledger_plugins.openings import Pending
from .contents import fetched, own_store_of
from .direct import Direct, places_of
from .identity import account_of, journal_of, place_of, salt_of
from .kept import KeptAnswers
from .keyring import Keyring
from .node import node_key_of
from .signer import Signer, check_registered, handler_of

__all__ = ["Signer", "signing_mod"]


def signing_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Answer a phase and sign the reply; of every other message only fetch what it refers to.

    Where the node config says `submit="direct"`, what is signed goes to the client's own ledger,
    and the reply names it (`direct`).

    Raises:
        ConfigError: the client has no account, the server speaks another version, or asks to sign
            something else than the phase does; or the node config's ledger and store do not do.
        UnknownNameError: a phase that is not installed here.
        AccountError: the account cannot be used or is not registered, or the journal forbids it.
        ModelError: the reply's arrays do not fit the global model.
        LedgerError: of a client that sends its calls itself: the ledger refused them, or cannot be
            reached.
        StoreError: of a client whose models travel by the store: it has not what is named, or does
            not take what is answered, in time.
    """
    request = SigningRequest.of(message.content)
    effects = _real()
    own = own_store_of(message, context, effects)
    if request is None:
        message.content = fetched(message.content, own)
        return call_next(message, context)
    handler_of(request)
    disk = effects.disk
    places = places_of(context)
    account = account_of(message, context, disk)
    check_registered(account, request)
    place, durable = place_of(message, context, request)
    signer = Signer(
        account,
        journal_of(message, context, request, disk),
        lambda domain: salt_of(message, context, account, domain),
        Keyring.beside(place, disk, durable=durable),
        effects.entropy,
        Pending.beside(place, disk, durable=durable),
        KeptAnswers.beside(place, disk, durable=durable),
        node_key_of(context, disk) if request.node_keys else None,
        own,
    )
    if places is None:
        return signer.answer(message, context, call_next)
    return Direct(signer, places, effects).answer(message, context, call_next)


@cache
def _real() -> Effects:
    """Return this machine's effects: Flower starts a client here, once for each message."""
    return Effects.real()
