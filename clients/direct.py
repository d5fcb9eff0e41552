"""A client that reaches the ledger itself: it sends what it signs, and its reply names it.

With `submit="direct"` in its node config a client needs the aggregator for nothing but to be asked:
its calls go to its own ledger, its contents to its own store, and an aggregator that ignores them
fails the audit. Nonces, fees and the block that its calls name come from that ledger, not from the
server. What it learns beforehand it asks for while the app trains, so that a round takes longer by
the one call that sends.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from threading import Event
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable

from fedledger.effects import Effects
from fedledger.errors import (
    ConfigError,
    ContractError,
    ContractMissing,
    FedledgerError,
    LedgerError,
    LedgerUnavailable,
    StoreUnavailable,
    TransactionRefused,
    UnknownNameError,
)
from fedledger.records import SEEN, CallRequest, Signatures, SigningRequest
from fedledger.urls import mask_url

from ..ledger_plugins import Receipt, open_ledger, open_store
from ..ledger_plugins.accounts import Account, decode_transaction
from ..ledger_plugins.base import Ledger, UnsignedTransaction
from ..ledger_plugins.openings import Opening, open_pending
from ..ledger_plugins.signing import Call
from ..ledger_plugins.storage.base import Store
from ..ledger_plugins.storage.patience import may_pass, pause, put_all
from .contents import STORE_VARIABLE, url_of
from .journal import Journal
from .kept import Kept
from .signer import Signer, asked_of, handler_of, replied

__all__ = [
    "LEDGER_VARIABLE",
    "STORE_VARIABLE",
    "Direct",
    "Places",
    "ledger_of",
    "places_of",
    "send_call",
]

LEDGER_VARIABLE = "FEDLEDGER_LEDGER"
"""As `STORE_VARIABLE`, for the ledger."""

WAYS = ("relay", "direct")

REACH = 120.0
"""Seconds that a client waits for its ledger, besides the time in which its app trains."""

FIRST = 10.0
"""Seconds for which its app waits, before its first work in a task, to hear of a wrong ledger."""

LAST = 20.0
"""Seconds that the last try may take besides."""

TRIES = 3
"""How often a call is signed whose nonce another one of the account has taken meanwhile."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a client's calls and contents go.

    Attributes:
        ledger: URL of its ledger.
        store: URL of its store.
    """

    ledger: str = field(repr=False)
    store: str = field(repr=False)


def places_of(context: Context) -> Places | None:
    """Return where a client sends its calls itself; None where the aggregator relays them.

    Its node config says `submit="direct"`, `ledger` and `store`; the URLs may stand in the
    environment instead.

    Raises:
        UnknownNameError: another way to submit.
        ConfigError: there is no ledger or no store, or the ledger has one writer.
    """
    way = context.node_config.get("submit", WAYS[0])
    if way not in WAYS:
        raise UnknownNameError("way to submit", str(way), WAYS)
    if way == "relay":
        return None
    ledger, store = (
        url_of(context, "ledger", LEDGER_VARIABLE),
        url_of(context, "store", STORE_VARIABLE),
    )
    for name, url, variable in (
        ("ledger", ledger, LEDGER_VARIABLE),
        ("store", store, STORE_VARIABLE),
    ):
        if not url:
            raise ConfigError(
                f'submit="direct" needs a {name} of the client: set {name}=URL in its node config, '
                f"or {variable} in its environment"
            )
    if ledger.partition("://")[0] == "local":
        raise _one_writer(ledger)
    return Places(ledger, store)


@contextmanager
def ledger_of(context: Context) -> Iterator[Ledger | None]:
    """Open the ledger that a client has, however it submits, or give None.

    Raises:
        ConfigError: it has one writer, or its URL is none.
        LedgerUnavailable: it cannot be reached.
    """
    url = url_of(context, "ledger", LEDGER_VARIABLE)
    if not url:
        yield None
        return
    with _shared(url) as ledger:
        yield ledger


def send_call(ledger: Ledger, account: Account, call: Call, values: Mapping[str, Any]) -> Receipt:
    """Sign a call and send it; it names the ledger's settled block where a call names one.

    Raises:
        CallError: a value is missing or does not fit.
        ContractError: the contract refused it.
        TransactionRefused: the ledger refused it.
        LedgerUnavailable: the ledger cannot be reached.
    """
    given = dict(values)
    if call.pins and SEEN not in given:
        given[SEEN] = bytes.fromhex(ledger.settled().hash[2:])
    terms = ledger.terms(call.contract, call.function)
    nonce = ledger.nonce(account.address)
    return ledger.transact(account.sign(UnsignedTransaction(terms, nonce, call.encode(given))))


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """A client's ledger and store, and what it signs there.

    Attributes:
        ledger: the ledger.
        store: the store.
        request: what the server asks, with what this ledger says of nonces, fees and blocks.
        journal: what the client has to remember, by this ledger's history.
    """

    ledger: Ledger
    store: Store
    request: SigningRequest
    journal: Journal


class Direct:
    """Answers messages, and sends what it signs.

    Args:
        signer: signs; it keeps what it has answered.
        places: where it sends.
        effects: ask the ledger while the app trains.
    """

    def __init__(self, signer: Signer, places: Places, effects: Effects) -> None:
        self._signer = signer
        self._places = places
        self._effects = effects

    def answer(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Answer a message; its calls are on the ledger when the reply leaves.

        Asked again, it answers what it has answered, and sends only what is not on the ledger.

        Raises:
            FedledgerError: as of `signing_mod`; what was not sent then is not half sent: asked
                again, the client goes on with it.
        """
        request = asked_of(message)
        signer = self._signer
        if not request.calls:  # nothing goes to a ledger
            return signer.answer(message, context, call_next)
        signer.journal.check(replace(request, seen="", calls=()))  # before anybody waits
        with ExitStack() as stack:
            reach = _Meanwhile(self._effects, partial(self._reach, stack, request))
            needed = False
            try:
                kept, answered = signer.before(request), None
                if not signer.journal.answers(request.task)[0]:
                    reach.try_once(FIRST)  # a wrong setting is found before any work is done
                if kept is None:
                    answered = signer.ask(request, message, context, call_next)
                    if answered.reply.has_error():
                        return answered.reply
                needed = True
            finally:
                reach.wait(REACH if needed else 0.0)
            link = reach.result()  # where it is not there, nothing is kept
            assert signer.kept is not None  # noqa: S101 - `signing_mod` gave it
            with signer.kept.locked():
                kept = signer.before(request) or kept  # another process may have answered meanwhile
                if kept is not None:
                    return replied(message, None, kept, self._send(link, kept))
                assert answered is not None  # noqa: S101 - nothing was kept
                kept = signer.seal(request, answered)
                if answered.content and not (kept.opening or request.by_reference):
                    put_all(link.store, [answered.content], self._effects.clock)
                kept = signer.hand_over(request, answered, kept)
                return replied(message, answered.reply, kept, self._send(link, kept))

    # Inside --------------------------------------------------------------------------------

    def _reach(self, stack: ExitStack, request: SigningRequest) -> _Link:
        """Open ledger and store, which `stack` closes, and ask for all that signing needs."""
        with ExitStack() as opened:
            found = self._opened(opened, request)
            stack.push(opened.pop_all())
        return found

    def _opened(self, stack: ExitStack, request: SigningRequest) -> _Link:
        ledger = stack.enter_context(_shared(self._places.ledger))
        masked = mask_url(self._places.ledger)
        if ledger.chain_id != request.chain_id:
            raise ConfigError(
                f"{masked} is chain {ledger.chain_id}, the server's task is on chain "
                f"{request.chain_id}: give this client that chain's ledger"
            )
        there = ledger.terms("TrainingTask", "submitUpdate").to
        if there != request.contract:
            raise ConfigError(
                f"{masked} has its TrainingTask at {there}, the server's is {request.contract}: "
                "give this client the same deployment"
            )
        store = stack.enter_context(open_store(self._places.store, account=self._signer.account))
        signer = self._signer
        if signer.pending is not None:
            try:
                open_pending(ledger, store, signer.pending)
            except FedledgerError as error:  # tried again at the next message
                logger.warning("what was sealed could not be opened: %s", error)
        journal = signer.journal.reading(cache(lambda block: ledger.index_of(block) is not None))
        own = self._own(ledger, request)
        journal.check(own)
        return _Link(ledger, store, own, journal)

    def _own(self, ledger: Ledger, request: SigningRequest) -> SigningRequest:
        """Return a request with what the client's own ledger says."""
        calls = []
        for one in handler_of(request).signed(request):
            if isinstance(one, Call):
                terms = ledger.terms(one.contract, one.function)
                fees = terms.gas, terms.max_fee_per_gas, terms.max_priority_fee_per_gas
                calls.append(CallRequest(one.name, terms.to, *fees))
        for asked, own in zip(request.calls, calls, strict=True):
            if asked.contract != own.contract:
                raise ConfigError(
                    f"{mask_url(self._places.ledger)} has the contract of {own.name} at "
                    f"{own.contract}, the server's is {asked.contract}"
                )
        address = self._signer.account.address
        at = list(request.clients).index(address)
        return replace(
            request,
            calls=calls,
            clients=[address],
            node_keys=request.node_keys[at : at + 1],
            nonces=[ledger.nonce(address) if calls else 0],
            seen=ledger.settled().hash if request.seen else "",
            header_form="",
            headers=(),
        )

    def _send(self, link: _Link, kept: Kept) -> Signatures:
        """Send an answer's calls, signed before or now; return what the reply says of them."""
        request, left = link.request, TRIES
        signatures = Signatures(request.phase, kept.transactions, kept.statements)
        if kept.transactions:
            signatures = self._signer.tied(request, signatures, kept.values)
        while True:
            if not signatures.transactions or left < TRIES:
                signatures = self._sign(link.journal, request, kept)
            try:
                self._transact(link.ledger, signatures)
            except ContractError:
                self._give_up(request, kept)
                raise
            except TransactionRefused as error:
                left -= 1
                if error.reason != "nonce" or not left:
                    raise
                request = self._own(link.ledger, request)
                continue
            hashes = [_digest(raw) for raw in signatures.transactions]
            return replace(signatures, transactions=hashes, named=bool(hashes))

    def _sign(self, journal: Journal, request: SigningRequest, kept: Kept) -> Signatures:
        """Sign, and keep what was signed before it is sent: so it is never sent as another one."""
        signer = self._signer
        assert signer.kept is not None  # noqa: S101 - `signing_mod` gave it
        signatures = replace(signer, journal=journal).sign(request, kept.values)
        signed = replace(
            kept, transactions=signatures.transactions, statements=signatures.statements
        )
        signer.kept.keep(request, signer.account.address, signed)
        return signatures

    def _transact(self, ledger: Ledger, signatures: Signatures) -> None:
        """Send calls; one that is on the ledger already is fine."""
        calls = [decode_transaction(raw) for raw in signatures.transactions]
        for result in ledger.transact_all(calls) if calls else ():
            if isinstance(result, TransactionRefused) and result.reason == "replay":
                continue
            if isinstance(result, LedgerError):
                raise result

    def _give_up(self, request: SigningRequest, kept: Kept) -> None:
        """Forget an answer that the contract refuses: it is not submitted."""
        signer = self._signer
        assert signer.kept is not None  # noqa: S101 - `signing_mod` gave it
        signer.kept.forget(request)
        if kept.opening and signer.pending is not None:
            signer.pending.forget(Opening.decode(kept.opening))


class _Meanwhile:
    """Something that is done in the background; what it raises is raised where it is asked for.

    Where ledger or store cannot be reached it is tried again: they may be back before it is needed.
    """

    def __init__(self, effects: Effects, job: Callable[[], _Link]) -> None:
        self._found: _Link | None = None
        self._error: Exception | None = None
        self._job = job
        self._clock = effects.clock
        self._end = math.inf
        self._tried = Event()
        self._worker = effects.work.worker("fedledger-direct", waiting=1)
        self._worker.give(self._run)

    def _run(self) -> None:
        tries = 0
        while self._found is None:
            tries += 1
            try:
                self._found = self._job()
            except Exception as error:  # noqa: BLE001 - raised again by `result`
                self._error = error
                again = _is_outage(error) and self._clock.monotonic() < self._end
                if again:
                    logger.warning("%s: trying again", error)
                self._tried.set()
                if not again:
                    return
                self._clock.sleep(pause(tries))
        self._tried.set()

    def try_once(self, seconds: float) -> None:
        """Wait until it was tried once, but not for ever.

        Raises:
            FedledgerError: what no waiting changes.
        """
        self._tried.wait(seconds)
        if self._error is not None and not _is_outage(self._error):
            raise self._error

    def wait(self, seconds: float) -> None:
        """Wait for its end, but not for ever.

        Args:
            seconds: for how long it may be tried again from now on.
        """
        self._end = self._clock.monotonic() + seconds
        if not self._worker.close(seconds + LAST):
            logger.warning("the client's ledger has not answered for %.0f s", seconds)

    def result(self) -> _Link:
        """Return what was found.

        Raises:
            LedgerUnavailable: it does not end.
        """
        if self._found is not None:
            return self._found
        raise self._error or LedgerUnavailable(
            f"the client's ledger has not answered for {REACH:.0f} s"
        )


def _is_outage(error: Exception) -> bool:
    """Tell whether a ledger or a store may be back a moment later."""
    if isinstance(error, StoreUnavailable):
        return may_pass(error)
    return isinstance(error, LedgerUnavailable) and not isinstance(error, ContractMissing)


@contextmanager
def _shared(url: str) -> Iterator[Ledger]:
    """Open a ledger that several parties write.

    Raises:
        ConfigError: one party alone does.
    """
    if url.partition("://")[0] == "local":
        raise _one_writer(url)
    with open_ledger(url) as ledger:
        if not ledger.shared:
            raise _one_writer(url)
        yield ledger


def _one_writer(url: str) -> ConfigError:
    return ConfigError(
        f"{mask_url(url)} has one writer, the aggregator, who makes all blocks and can leave out "
        "what it likes: a client that submits by itself needs a node of a network "
        '(local+http://HOST:PORT) or Ethereum; else say submit="relay"'
    )


def _digest(raw: bytes) -> bytes:
    return bytes.fromhex(decode_transaction(raw).hash[2:])
