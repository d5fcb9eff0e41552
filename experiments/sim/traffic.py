"""Users who send each other tokens through whatever node answers: calls that must not get lost."""

import asyncio
from dataclasses import dataclass, field

from fedledger.effects import Question, Transport
from fedledger.errors import TransportError

from ...ledger_plugins.accounts import Account
from ...ledger_plugins.base import CallTerms, UnsignedTransaction
from ...ledger_plugins.contracts.abi import encode_call
from .values import SeededEntropy

__all__ = ["User"]

_PAUSE = 0.5


@dataclass
class User:
    """Sends one token after the other.

    Attributes:
        account: whose tokens.
        terms: of `StakeToken.transfer`.
        to: who gets them.
        urls: the nodes.
        transport: reaches them.
        entropy: chooses the node and the pauses.
        sent: transfers that a node has acknowledged to this user.
    """

    account: Account
    terms: CallTerms
    to: str
    urls: tuple[str, ...]
    transport: Transport
    entropy: SeededEntropy
    sent: int = field(default=0, init=False)

    async def run(self) -> None:
        """Send until cancelled: the next one when the one before was acknowledged."""
        while True:
            await asyncio.sleep(self.entropy.between(0.0, 3.0))
            data = encode_call("StakeToken", "transfer", self.to, 1)
            raw = self.account.sign(UnsignedTransaction(self.terms, self.sent, data)).raw
            await self._hand_over(raw)
            self.sent += 1

    async def _hand_over(self, raw: bytes) -> None:
        """Give a call to one node after another until one has it, or a block has."""
        while True:
            url = self.urls[self.entropy.below(len(self.urls))]
            line = self.transport.async_line(url, at_once=1)
            question = Question(method="POST", path="/transactions", body=raw, seconds=5.0)
            try:
                answer = await line.ask(question)
            except TransportError:
                pass
            else:
                if answer.status == 202 or b'"replay"' in answer.body:
                    return
            await asyncio.sleep(_PAUSE)
