"""One node: JSON-RPC requests, alone or many in one, and what can go wrong with them."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

from fedledger.effects import Clock
from fedledger.errors import ConfigError, LedgerUnavailable
from fedledger.urls import mask_text

from ..url import Settings
from .carrying import Later, Provider, TooMuch
from .dialects import BATCH, LATER, METHOD, REVERT, revert_data, seconds
from .http import HttpProvider
from .ipc import SocketProvider
from .shapes import check_answer

__all__ = ["Later", "Node", "NodeRefusal", "Request", "TooMuch", "connect"]

_log = logging.getLogger(__name__)

Request = tuple[str, tuple[Any, ...]]
"""A method and its arguments."""

_AT_ONCE = 100
_FIRST, _LONGEST, _GROWTH = 0.05, 2.0, 2.0
_TEXT = 400


class NodeRefusal(LedgerUnavailable):
    """The node answered a request with an error.

    Attributes:
        method: what was asked.
        code: the error's JSON-RPC code.
        text: its message.
        data: the revert data where the call reverted and the node hands it out, else None.
        seconds: how long the node asks to be left alone; 0: it does not say.
        repeated: whether the node may have got the same request before.
    """

    def __init__(
        self, method: str, where: str, error: Any, *, secrets: Collection[str] = ()
    ) -> None:
        said = error if isinstance(error, dict) else {"message": str(error)}
        text = mask_text(str(said.get("message") or "")[: 2 * _TEXT], secrets)
        self.method = method
        self.code = said.get("code")
        self.text = "".join(one if one.isprintable() else " " for one in text)[:_TEXT]
        self.data = revert_data(said.get("data"))
        self.seconds = seconds(self.text, said.get("data"))
        self.repeated = False
        super().__init__(f"{where} refuses {method}: {self.text or 'no reason given'}")

    @property
    def unknown_method(self) -> bool:
        """Whether the node does not have the method at all."""
        return not self.reverted and bool(METHOD.word(self.code, self.text, self.method))

    @property
    def reverted(self) -> bool:
        """Whether the EVM executed the call and it reverted."""
        return bool(self.data) or REVERT.word(self.code, self.text) is not None

    @property
    def later(self) -> bool:
        """Whether the node may answer later: it is busy, or was asked too much."""
        if self.reverted or self.unknown_method:
            return False
        code = None if self.method == "eth_getLogs" else self.code  # -32005: too many logs
        return LATER.word(code, self.text) is not None


class Node:
    """A connection to a node.

    A node that has answered once and then does not, or has no time, is asked again, with pauses
    that grow and that it may choose itself, for as long as the caller's patience.

    Args:
        provider: carries the requests.
        where: the node's name in messages.
        timeout: seconds an answer may take; the provider keeps it.
        clock: for whoever waits for something to happen on the chain.
        patience: seconds for which a node that does not answer is asked again.
        secrets: what no message repeats.
        close: closes the connection.
    """

    def __init__(
        self,
        provider: Provider,
        where: str,
        timeout: float,
        clock: Clock,
        *,
        patience: float = 0.0,
        secrets: Collection[str] = (),
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self.where = where
        self._provider = provider
        self.timeout = timeout
        self.clock = clock
        self._patience = patience
        self._secrets = secrets
        self.close = close
        self._known = False
        self._most = _AT_ONCE

    def ask(self, method: str, *params: Any, again: bool = True) -> Any:
        """Return the result of one request.

        Args:
            method: the method's name.
            params: its arguments.
            again: ask once more when the connection breaks; not for what must not happen twice.

        Raises:
            NodeRefusal: the node answered with an error.
            LedgerUnavailable: there is no answer, or it is none to this request.
        """

        def once() -> Any:
            answer = self._provider.make_request(method, list(params))
            result = self._result((method, params), answer)
            if _is_later(result):
                raise _Refused(result)
            return result

        result, lost = self._carry(once, again=again)
        if isinstance(result, NodeRefusal):
            raise _marked(result, lost)
        return result

    def ask_all(self, requests: Sequence[Request]) -> list[Any]:
        """Return the results of many requests in their order, a NodeRefusal where one was refused.

        Raises:
            LedgerUnavailable: there is no answer, or one that is none to its request.
        """
        results: list[Any] = []
        while len(results) < len(requests):
            some = requests[len(results) : len(results) + self._most]
            results += self._alone(some) if len(some) == 1 else self._some(some)
        return results

    def results(self, requests: Sequence[Request]) -> list[Any]:
        """Return the results of many requests, of which none may be refused."""
        results = self.ask_all(requests)
        for result in results:
            if isinstance(result, NodeRefusal):
                raise result
        return results

    def _alone(self, requests: Sequence[Request]) -> list[Any]:
        [(method, params)] = requests
        try:
            return [self.ask(method, *params)]
        except NodeRefusal as error:
            return [error]

    def _some(self, requests: Sequence[Request]) -> list[Any]:
        """Return results of some requests in one batch; none where the node wants smaller ones."""
        results: list[Any] = [None] * len(requests)
        left = list(range(len(requests)))  # those without an answer that stays

        def once() -> bool:
            wire = [(requests[at][0], list(requests[at][1])) for at in left]
            answers = self._provider.make_batch_request(wire)
            if not isinstance(answers, list) or len(answers) != len(wire):
                return self._refused_batch(requests[0], answers)
            for at, answer in zip(left, answers, strict=True):
                results[at] = self._result(requests[at], answer)
            left[:] = [at for at in left if _is_later(results[at])]
            if left:
                raise _Refused(results[left[0]])
            return True

        try:
            taken, lost = self._carry(once, again=True)
        except TooMuch:
            taken, lost = False, False
        except NodeRefusal as error:
            return [_marked(one or error, error.repeated) for one in results]
        if taken:
            return [_marked(one, lost) for one in results]
        self._most = max(1, len(requests) // 2)
        _log.debug("%s takes no batch of %d: %d now", self.where, len(requests), self._most)
        return []

    def _refused_batch(self, request: Request, answers: Any) -> bool:
        """Return False where a smaller batch may be taken; raise where a later one may be."""
        said = answers[0] if isinstance(answers, list) and answers else answers
        if isinstance(said, dict) and said.get("error") is not None:
            refusal = self._result(request, said)
            if refusal.later and BATCH.word(refusal.code, refusal.text) is None:
                raise _Refused(refusal)
        return False

    def _result(self, request: Request, response: Any) -> Any:
        """Return what a response says: a result, or a NodeRefusal."""
        method, params = request
        if isinstance(response, dict) and response.get("error") is not None:
            return NodeRefusal(method, self.where, response["error"], secrets=self._secrets)
        if not isinstance(response, dict) or "result" not in response:
            raise LedgerUnavailable(f"{self.where} speaks no Ethereum JSON-RPC")
        return check_answer(method, params, response["result"], self.where)

    def _carry(self, once: Callable[[], Any], *, again: bool) -> tuple[Any, bool]:
        """Return an answer, and whether the node may have got the same request before.

        While there is none but may be one later, it is asked for again.
        """
        end, pause, lost = self.clock.monotonic() + self._patience, _FIRST, False
        kept = again  # a kept connection may have been closed since; a new one is opened at once
        while True:
            try:
                answer = once()
            except Later as error:
                lost |= error.lost
                if error.lost and kept:
                    kept = False
                    continue
                left = end - self.clock.monotonic()
                patient = (self._known and again) or not error.lost
                if left <= 0 or not patient:
                    if isinstance(error, _Refused):
                        raise _marked(error.refusal, lost) from None
                    raise
                _log.info("%s: asking again", error)
                self.clock.sleep(min(max(pause, error.seconds), left))
                pause = min(_LONGEST, pause * _GROWTH)
            else:
                self._known = True
                return answer, lost


class _Refused(Later):
    """A refusal that may not last."""

    def __init__(self, refusal: NodeRefusal) -> None:
        self.refusal = refusal
        super().__init__(str(refusal), lost=False, seconds=refusal.seconds)


def _is_later(result: Any) -> bool:
    return isinstance(result, NodeRefusal) and result.later


def _marked(result: Any, lost: bool) -> Any:  # noqa: FBT001 - private
    """Return a result; a refusal says whether it may be the answer to a second request."""
    if isinstance(result, NodeRefusal):
        result.repeated |= lost
    return result


def connect(settings: Settings, clock: Clock, *, new: bool = True) -> Node:
    """Return a connection to the node that settings name; nothing is asked yet.

    Args:
        settings: name it.
        clock: for waiting, and for the tester's blocks.
        new: whether the tester may be a new chain, without contracts.

    Raises:
        ConfigError: a package is missing.
        LedgerUnavailable: the tester has no contracts, and is not to be new.
    """
    where, timeout = settings.where, settings.timeout
    if settings.kind == "tester":
        try:
            from .tester import has_contracts, local_node  # noqa: PLC0415 - py-evm is another package
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"ethereum+tester:// needs {error.name!r}: pip install 'eth-tester[py-evm]'"
            ) from error
        if not new and not has_contracts(settings.address):
            raise LedgerUnavailable(f"there is no chain at {where}: it would be a new one")
        return Node(local_node(settings.address, clock), where, timeout, clock)
    provider: HttpProvider | SocketProvider
    if settings.kind == "ipc":
        provider = SocketProvider(settings.address, timeout, clock)
    else:
        provider = HttpProvider(settings.address, where, timeout, clock)
    return Node(
        provider,
        where,
        timeout,
        clock,
        patience=settings.wait,
        secrets=settings.secrets,
        close=provider.close,
    )
