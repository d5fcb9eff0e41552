"""How a vehicle answers: the handlers and the signing of Flower's clients, on its own ledger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import ConfigRecord, Message, RecordDict

from fedledger.arrays import to_record
from fedledger.errors import (
    AccountError,
    ConfigError,
    FedledgerError,
    RunError,
    UpdateRejected,
)
from fedledger.guards import in_words
from fedledger.records import ARRAYS, CONFIG, SEEN, SigningRequest

from ...clients.signing import Signer
from ...ledger_plugins.accounts import decode_transaction
from ...ledger_plugins.base import Ledger, SignedTransaction
from ...ledger_plugins.signing import Call
from ...strategies.following import Turn
from ...strategies.rounds.answers.replies import check_reply, signing_request
from ...strategies.rounds.evidence.carriers import read_call
from ...strategies.rounds.phase import Answer
from ...strategies.rounds.protocol import Protocol
from ...strategies.rounds.round import TaskTerms
from ..run.engines.wire import over_the_wire, set_id, task_identity
from .app import VehicleApp

__all__ = ["Answering", "AppFailedError", "Followed", "only_call"]

Between = Callable[[Message, Message], Message]
"""Takes what the app was asked and what it replied, and returns what is signed."""


class AppFailedError(Exception):
    """The app raised, or replied with something that nobody could use."""


class Answering:
    """Makes signed answers.

    Args:
        app: the app.
        signer: signs.
        ledger: the client's own.
        protocol: name of the task's protocol.
        between: changes what the app replies before it is signed.
    """

    def __init__(
        self,
        app: VehicleApp,
        signer: Signer,
        ledger: Ledger,
        protocol: str,
        between: Between | None = None,
    ) -> None:
        self._app = app
        self._signer = signer
        self._ledger = ledger
        self._protocol = protocol
        self._between = between
        self._node = int(signer.account.address[2:18], 16) >> 1

    def make(self, turn: Turn) -> tuple[Answer[Any], SignedTransaction, dict[str, Any]]:
        """Return an answer, the call that was signed for it, and the app's own metrics.

        Raises:
            AppFailedError: the app raised, or its reply cannot be used.
            RunError: the app cannot work here at all.
            AccountError: the journal forbids it.
        """
        request = self._request(turn)
        run = turn.round.terms.task
        with task_identity(run):
            content = request.added_to(self._content(turn))
            message = Message(content, dst_node_id=self._node, message_type=turn.phase.kind)
            message = set_id(over_the_wire(message), f"{run}-{turn.round.number}-{turn.phase.name}")
            context = self._app.context(run, self._node)
            try:
                reply = self._signer.answer(message, context, self._reply)
            except (AccountError, RunError, AppFailedError):
                raise
            except FedledgerError as error:
                raise AppFailedError(str(error)) from error
            except Exception as error:  # the app is somebody else's code
                raise AppFailedError(in_words(error)) from error
        metrics = {
            key: value
            for record in reply.content.metric_records.values()
            for key, value in record.items()
        }
        try:
            checked = check_reply(
                reply, content, turn.phase, turn.subject, turn.round, request, turn.history
            )
        except UpdateRejected as error:
            raise AppFailedError(f"{error.reason}: {error.detail}") from error
        return checked.answer, checked.transactions[0], metrics

    def again(self, turn: Turn, raw: bytes) -> SignedTransaction:
        """Return a call that was signed before as it can be sent now.

        It is the same one, unless its nonce was used or its block is not there any more: then what
        it says is signed once more.

        Raises:
            AccountError: the journal forbids it.
        """
        before, values = self.read(turn, raw)
        try:
            turn.history.check(values)
        except UpdateRejected:
            pass
        else:
            if before.unsigned.nonce == self._ledger.nonce(self._signer.account.address):
                return before
        said = {name: value for name, value in values.items() if name not in _PLACED}
        call = only_call(turn)
        signatures = self._signer.sign(self._request(turn), {call.name: said})
        return decode_transaction(signatures.transactions[0])

    def read(self, turn: Turn, raw: bytes) -> tuple[SignedTransaction, dict[str, Any]]:
        """Return a signed call and its arguments.

        Raises:
            UpdateRejected: it is one of another task or round.
        """
        call, transaction = only_call(turn), decode_transaction(raw)
        contract = self._ledger.terms(call.contract, call.function).to
        return transaction, read_call(call, transaction, contract, turn.round.domain)

    # Inside --------------------------------------------------------------------------------

    def _request(self, turn: Turn) -> SigningRequest:
        seen = self._ledger.settled() if only_call(turn).pins else None
        return signing_request(
            turn.round,
            self._protocol,
            turn.phase,
            turn.subject,
            self._ledger,
            [self._signer.account.address],
            seen,
        )

    def _content(self, turn: Turn) -> RecordDict:
        """Return what a strategy would send."""
        round = turn.round
        config = ConfigRecord({**self._app.train_config, "server-round": round.number})
        posed: Mapping[str, Any] = turn.phase.pose(round, turn.subject)
        if not round.phases and turn.phase.layout(round) is not None:
            posed = {ARRAYS: to_record(dict(round.base)), **posed}
        return RecordDict({**posed, CONFIG: config})

    def _reply(self, message: Message, context: Any) -> Message:
        """Let the app answer, and stop where it cannot work here."""
        try:
            reply = self._app(message, context)
        except ConfigError as error:
            raise RunError(f"the app cannot work here: {error}") from error
        if reply.has_error():
            raise AppFailedError(f"code {reply.error.code}: {reply.error.reason}")
        return reply if self._between is None else self._between(message, reply)


_PLACED = {SEEN, "task", "round"}


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What is read once of a task that is followed.

    Attributes:
        terms: what is fixed for it.
        protocol: the protocol that it runs.
        answering: makes this client's answers.
    """

    terms: TaskTerms
    protocol: Protocol[Any, Any]
    answering: Answering


def only_call(turn: Turn) -> Call:
    """Return the one call that a phase without a server signs."""
    [call] = turn.phase.calls
    return call
