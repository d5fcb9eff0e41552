"""A network in memory: messages are delayed, lost, and cut off by partitions and dead machines."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

from fedledger.effects import Answer, AsyncLine, Line, Question, Transport
from fedledger.errors import AnswerTooLarge, AnswerTooSlow, NoAnswer

from ...ledger_plugins.local.node.http.service import ROUTES, Call, NodeService
from .loop import VirtualLoop
from .values import SeededEntropy

__all__ = ["MemoryTransport", "Network", "Party"]

_CONNECT = 3.0


class Party(Protocol):
    """A machine that answers, while it runs."""

    name: str
    service: NodeService | None

    def spawn(self, work: Coroutine[Any, Any, Answer]) -> "asyncio.Task[Answer]":
        """Run a request's answer as a task that dies with the machine."""


class Network:
    """Who reaches whom, and how fast.

    Args:
        loop: whose time passes.
        entropy: draws delays and losses.
        note: takes a line of the trace: who, and what.
    """

    def __init__(
        self, loop: VirtualLoop, entropy: SeededEntropy, note: Callable[[str, str], object]
    ) -> None:
        self.loop = loop
        self.note = note
        self.delay = 0.01
        """Mean seconds of a message's way; a few take ten times as long."""
        self.loss = 0.0
        """Part of the messages that get lost, each way."""
        self.apart: frozenset[str] = frozenset()
        """Machines that reach only each other; the others reach only each other, too."""
        self.acknowledged: dict[str, str] = {}
        """Hash of each transaction that a node's `submit` has returned, to the node's name."""
        self.on_acknowledged: dict[str, Callable[[], object]] = {}
        """What happens when a node, by name, has acknowledged a transaction: before it says so."""
        self._entropy = entropy
        self._parties: dict[str, Party] = {}

    def join(self, url: str, party: Party) -> None:
        """Let a machine answer at a URL."""
        self._parties[url] = party

    async def ask(self, source: str, url: str, question: Question) -> Answer:
        """Carry a question and its answer."""
        party = self._parties[url]
        said = f"{question.method} {_short(question.path)} {_digest(question.body)}"
        try:
            async with asyncio.timeout(question.seconds):
                answer = await self._carried(source, url, party, question)
        except TimeoutError as error:
            self.note(source, f"-> {party.name} {said}: nothing in {question.seconds:g} s")
            raise AnswerTooSlow(url, question.seconds) from error
        except NoAnswer as error:
            self.note(source, f"-> {party.name} {said}: {error}")
            raise
        self.note(source, f"-> {party.name} {said}: {answer.status} {_digest(answer.body)}")
        if len(answer.body) > question.most:
            raise AnswerTooLarge(url, question.most)
        return answer

    async def _carried(self, source: str, url: str, party: Party, question: Question) -> Answer:
        if self._is_cut(source, party.name):
            await asyncio.sleep(_CONNECT)
            raise NoAnswer(url, "no way there")
        await self._travel(source, party.name, url)
        service = party.service
        if service is None:
            raise NoAnswer(url, "connection refused")
        answering = party.spawn(_answer(service, question))
        # The asker may give up; what it asked for goes on.
        await asyncio.wait([answering])
        if answering.cancelled() or party.service is not service:
            raise NoAnswer(url, "connection reset")
        answer = answering.result()
        if question.path == "/transactions" and answer.status == 202:
            transaction = json.loads(answer.body)["transaction"]
            self.acknowledged.setdefault(transaction, party.name)
            self.on_acknowledged.pop(party.name, lambda: None)()
        await self._travel(source, party.name, url)
        return answer

    async def _travel(self, one: str, other: str, url: str) -> None:
        slow = 10.0 if self._entropy.chance(0.05) else 1.0
        await asyncio.sleep(self._entropy.between(0.0, 2 * self.delay) * slow)
        if self._entropy.chance(self.loss) or self._is_cut(one, other):
            if self._entropy.chance(0.5):
                raise NoAnswer(url, "connection reset")
            await asyncio.get_running_loop().create_future()  # silence, until the asker gives up

    def _is_cut(self, one: str, other: str) -> bool:
        return (one in self.apart) != (other in self.apart)


class MemoryTransport(Transport):
    """Reaches the parties of a network.

    Args:
        network: the network.
        source: who asks.
        alive: whether it still runs: a dead machine sends nothing.
    """

    def __init__(self, network: Network, source: str, alive: Callable[[], bool]) -> None:
        self._network = network
        self._source = source
        self._alive = alive

    def line(self, url: str, *, authorities: Path | None = None) -> Line:  # noqa: ARG002
        """Return a line for who stands outside the loop."""
        return _MemoryLine(self._network, self.async_line(url, at_once=1))

    def async_line(self, url: str, *, at_once: int) -> AsyncLine:  # noqa: ARG002
        """Return a line for a coroutine."""
        return _AsyncMemoryLine(self._network, self._source, url, self._alive)


class _AsyncMemoryLine(AsyncLine):
    def __init__(self, network: Network, source: str, url: str, alive: Callable[[], bool]) -> None:
        self._network = network
        self._source = source
        self._url = url
        self._alive = alive

    async def ask(self, question: Question) -> Answer:
        """Return the party's answer."""
        if not self._alive():
            raise NoAnswer(self._url, "the machine is off")
        return await self._network.ask(self._source, self._url, question)

    async def close(self) -> None:
        """Do nothing: nothing is open."""


class _MemoryLine(Line):
    def __init__(self, network: Network, line: AsyncLine) -> None:
        self._network = network
        self._line = line

    def ask(self, question: Question) -> Answer:
        """Return the party's answer; everybody else goes on meanwhile."""
        return self._network.loop.run_until_complete(self._line.ask(question))

    def close(self) -> None:
        """Do nothing: nothing is open."""


async def _answer(service: NodeService, question: Question) -> Answer:
    path, _, query = question.path.partition("?")
    for route in ROUTES:
        named = route.match(question.method, path)
        if named is None:
            continue
        call = Call(named=named, query=dict(parse_qsl(query)), body=question.body)
        if route.control and not service.is_operator(call):
            return Answer(403, b"{}")
        return await service.answer(route, call)
    return Answer(404, b"{}")


def _short(path: str) -> str:
    return path if len(path) <= 60 else f"{path[:40]}…{_digest(path.encode())}"


def _digest(data: bytes) -> str:
    return f"{len(data)}:{hashlib.sha256(data).hexdigest()[:8]}" if data else "0"
