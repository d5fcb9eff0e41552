"""One node: JSON-RPC requests, alone or many in one, and what can go wrong with them."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from requests import Session
from requests.exceptions import ConnectionError as Unreachable
from requests.exceptions import HTTPError, RequestException, Timeout
from web3 import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from fedledger.effects import Clock
from fedledger.errors import ConfigError, LedgerUnavailable

from ..url import Settings
from .ipc import SocketProvider

__all__ = ["Node", "NodeRefusal", "Request", "connect"]

_log = logging.getLogger(__name__)

Request = tuple[str, tuple[Any, ...]]
"""A method and its arguments."""

_AT_ONCE = 100
_METHOD_NOT_FOUND = -32601


class NodeRefusal(LedgerUnavailable):
    """The node answered a request with an error.

    Attributes:
        code: the error's JSON-RPC code.
        text: its message.
        data: the revert data where the call reverted and the node hands it out, else None.
    """

    def __init__(self, method: str, where: str, error: Any) -> None:
        said = error if isinstance(error, dict) else {"message": str(error)}
        self.code = said.get("code")
        self.text = str(said.get("message", ""))[:400]
        self.data = _revert_data(said.get("data"))
        super().__init__(f"{where} refuses {method}: {self.text or 'no reason given'}")

    @property
    def unknown_method(self) -> bool:
        """Whether the node does not have the method at all."""
        text = self.text.lower()
        return self.code == _METHOD_NOT_FOUND or "not found" in text or "not supported" in text

    @property
    def reverted(self) -> bool:
        """Whether the EVM executed the call and it reverted."""
        return self.data is not None or "revert" in self.text.lower()


class Provider(Protocol):
    """What carries requests to a node: a web3 provider, or the tester's chain."""

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Return the node's answer to one request."""

    def make_batch_request(
        self, requests: list[tuple[RPCEndpoint, Any]], /
    ) -> list[RPCResponse] | RPCResponse:
        """Return the node's answers, in the order of the requests."""


class Node:
    """A connection to a node.

    Args:
        provider: carries the requests.
        where: the node's name in messages.
        timeout: seconds an answer may take; the provider keeps it.
        clock: for whoever waits for something to happen on the chain.
        session: the HTTP session to close at the end.
    """

    def __init__(
        self,
        provider: Provider,
        where: str,
        timeout: float,
        clock: Clock,
        session: Session | SocketProvider | None = None,
    ) -> None:
        self.where = where
        self._provider = provider
        self.timeout = timeout
        self.clock = clock
        self._session = session

    def ask(self, method: str, *params: Any, again: bool = True) -> Any:
        """Return the result of one request.

        Args:
            method: the method's name.
            params: its arguments.
            again: ask once more when the connection breaks; not for what must not happen twice.

        Raises:
            NodeRefusal: the node answered with an error.
            LedgerUnavailable: there is no answer.
        """
        response = self._carry(
            lambda: self._provider.make_request(RPCEndpoint(method), list(params)), again=again
        )
        return self._result(method, response)

    def ask_all(self, requests: Sequence[Request]) -> list[Any]:
        """Return the results of many requests in their order, a NodeRefusal where one was refused.

        Raises:
            LedgerUnavailable: there is no answer.
        """
        results: list[Any] = []
        for start in range(0, len(requests), _AT_ONCE):
            results += self._some(requests[start : start + _AT_ONCE])
        return results

    def results(self, requests: Sequence[Request]) -> list[Any]:
        """Return the results of many requests, of which none may be refused."""
        results = self.ask_all(requests)
        for result in results:
            if isinstance(result, NodeRefusal):
                raise result
        return results

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._session.close()

    def _some(self, requests: Sequence[Request]) -> list[Any]:
        wire: list[tuple[RPCEndpoint, Any]] = [
            (RPCEndpoint(method), list(params)) for method, params in requests
        ]
        responses = self._carry(lambda: self._provider.make_batch_request(wire), again=True)
        if not isinstance(responses, list):  # a node without batches
            _log.debug("%s takes no batches", self.where)
            responses = [
                self._carry(lambda one=one: self._provider.make_request(*one), again=True)
                for one in wire
            ]
        if len(responses) != len(wire):
            raise LedgerUnavailable(
                f"{self.where} answered {len(responses)} of {len(wire)} requests"
            )
        results: list[Any] = []
        for (method, _), response in zip(requests, responses, strict=True):
            try:
                results.append(self._result(method, response))
            except NodeRefusal as error:
                results.append(error)
        return results

    def _result(self, method: str, response: Any) -> Any:
        if not isinstance(response, dict) or not ("result" in response or "error" in response):
            raise LedgerUnavailable(f"{self.where} speaks no Ethereum JSON-RPC")
        if response.get("error") is not None:
            raise NodeRefusal(method, self.where, response["error"])
        return response["result"]

    def _carry(self, request: Any, *, again: bool) -> Any:
        """Carry one request, and map what third parties raise to errors of this library."""
        try:
            return request()
        except Timeout as error:
            raise LedgerUnavailable(
                f"{self.where} did not answer within {self.timeout:g} seconds"
            ) from error
        except HTTPError as error:
            status = error.response.status_code if error.response is not None else "an error"
            raise LedgerUnavailable(f"{self.where} answered with HTTP status {status}") from None
        except (Unreachable, ConnectionError) as error:
            if again:  # a kept connection may have been closed since; a new one is opened
                return self._carry(request, again=False)
            raise LedgerUnavailable(
                f"{self.where} cannot be reached: is the node running there?"
            ) from (None if isinstance(error, RequestException) else error)
        except (RequestException, OSError) as error:
            raise LedgerUnavailable(
                f"{self.where} cannot be asked: {type(error).__name__}"
            ) from error
        except ValueError as error:  # JSON that is none
            raise LedgerUnavailable(f"{self.where} speaks no Ethereum JSON-RPC") from error


def connect(settings: Settings, clock: Clock) -> Node:
    """Return a connection to the node that settings name; nothing is asked yet.

    Raises:
        ConfigError: a package is missing.
    """
    if settings.kind == "tester":
        try:
            from .tester import local_node  # noqa: PLC0415 - py-evm is another package
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"ethereum+tester:// needs {error.name!r}: pip install 'web3[tester]'"
            ) from error

        return Node(local_node(settings.address, clock), settings.where, settings.timeout, clock)
    if settings.kind == "ipc":
        pipe = SocketProvider(settings.address, settings.timeout, clock)
        return Node(pipe, settings.where, settings.timeout, clock, pipe)
    session = Session()
    provider = HTTPProvider(
        settings.address,
        request_kwargs={"timeout": settings.timeout},
        session=session,
        exception_retry_configuration=None,
    )
    return Node(provider, settings.where, settings.timeout, clock, session)


def _revert_data(data: Any) -> bytes | None:
    """Return revert data in any of the forms that nodes give it, or None."""
    if isinstance(data, dict):
        data = data.get("data")
    if not isinstance(data, str):
        return None
    digits = data.removeprefix("Reverted ").removeprefix("0x")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None
