"""The client's half of a phase: a handler, found by the phase's name.

Third parties add handlers by the entry-point group `fedledger.phases`. A handler has no state; what
a client has to remember within a run goes into Flower's `context.state`, and what it may never
forget into the journal.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flwr.app import Context, Message

from fedledger.effects import Entropy
from fedledger.records import SigningRequest
from fedledger.registry import Registry

from ..ledger_plugins.signing import Call, Domain, Statement
from .journal import Journal
from .keyring import Keyring

__all__ = ["PHASES", "Answered", "Asked", "PhaseHandler"]

PHASES = Registry(
    "phase",
    {
        "closing": "fedledger.clients.handlers.closing:ClosingHandler",
        "keys": "fedledger.clients.handlers.threshold.keys:KeysHandler",
        "list": "fedledger.clients.handlers.threshold.lists:ListHandler",
        "masked": "fedledger.clients.handlers.threshold.masking:MaskedHandler",
        "opened": "fedledger.clients.handlers.threshold.opening:OpenedHandler",
        "shares": "fedledger.clients.handlers.threshold.opening:SharesHandler",
        "salts": "fedledger.clients.handlers.salts:SaltsHandler",
        "update": "fedledger.clients.handlers.training:UpdateHandler",
        "votes": "fedledger.clients.handlers.voting:VotesHandler",
        "weights": "fedledger.clients.handlers.training:WeightsHandler",
    },
    group="fedledger.phases",
)
"""Phase name to handler."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a client is asked.

    Attributes:
        message: the message, without what this library put into it.
        context: Flower's context.
        domain: where what is signed holds: chain, contract, task and round.
        app: the app's own function for the message.
        task: the task's number.
        round: the round, from 1.
        account: address of the account that will sign.
        details: what the phase tells its clients.
        salt: 32 secret bytes of the client for this round, the same whenever it is asked.
        journal: what the client has to remember.
        bind: takes a name and a digest, and raises AccountError where another one was bound under
            the name in this round: of two lists a client signs one.
        first: takes a name and a digest, and returns the one that was bound first in this round.
        keyring: what the client keeps of threshold keys.
        entropy: where secrets are drawn.
        before: takes a name, and returns the newest earlier round in which something was bound
            under it, and what; 0 and "" for none.
    """

    message: Message
    context: Context
    domain: Domain
    app: Callable[[Message], Message]
    task: int
    round: int
    account: str
    details: Mapping[str, Any]
    salt: bytes
    journal: Journal
    bind: Callable[[str, str], None]
    first: Callable[[str, str], str]
    before: Callable[[str], tuple[int, str]]
    keyring: Keyring
    entropy: Entropy

    @property
    def place(self) -> str:
        """What the task is called where something is kept for one task."""
        return f"{self.domain.chain_id}/{self.domain.contract.lower()}/{self.domain.task}"


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What a client answers.

    Attributes:
        reply: the reply; what is signed is added to it.
        values: name of each call or statement to its values; others may stand beside them. A call's
            task and round are added.
        content: the bytes that a call's `cid` names; b"" where none names one.
    """

    reply: Message
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    content: bytes = b""


class PhaseHandler(ABC):
    """Answers a phase on a client.

    Attributes:
        signs: what the client signs in this phase, in order, and nothing else.
        mined: what it signs instead where no server relays it, and a ledger carries it alone; None:
            the same.
        keeps: whether it answers once: asked again in a round, the client gives the same answer.
    """

    signs: ClassVar[tuple[Call | Statement, ...]] = ()
    mined: ClassVar[tuple[Call, ...] | None] = None
    keeps: ClassVar[bool] = False

    def signed(self, request: SigningRequest) -> tuple[Call | Statement, ...]:
        """Return what is signed, by whether the request asks for calls alone."""
        if self.mined is None or request.statements:
            return self.signs
        return self.mined

    @abstractmethod
    def answer(self, asked: Asked) -> Answered:
        """Return the reply and the values to sign; an error reply of the app goes out unsigned.

        Raises:
            FedledgerError: the client cannot answer; the server gets the text as its error.
        """
