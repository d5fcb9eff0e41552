"""What a writer signs for a store's server: one statement (EIP-712) for each change.

It names the server, what is to be done, the content, its size and when it was signed. So whoever
sees it can use it for nothing else: not at another server, not for another content, and not later.
It says nothing of a ledger: its domain is chain 0, which no ledger has (EIP-155).
"""

import re
from dataclasses import dataclass
from typing import Self

from fedledger.errors import AccountError, CallError, ConfigError

from ..accounts import Account, recover_digest
from ..addresses import ZERO_ADDRESS, is_checksummed
from ..signing import Domain, Statement

__all__ = ["PREFIX", "WITHIN", "StoreRequest", "server_name"]

WITHIN = 300
"""Seconds that the writer's and the server's clock may differ, either way."""

PREFIX = "/v1"
"""What all paths of a server begin with: a server of another version answers nothing below it."""

_STATEMENT = Statement(
    "StoreRequest",
    (
        ("server", "string"),
        ("action", "string"),
        ("content", "string"),
        ("size", "uint64"),
        ("issued", "uint64"),
    ),
)
_DOMAIN = Domain(0, ZERO_ADDRESS, 0, 0)
_NAME = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253}):([1-9][0-9]{0,4})")
_FORM = re.compile(
    r"Fedledger account=(0x[0-9a-fA-F]{40}), server=([a-z0-9._:\[\]-]{1,300}), "
    r"issued=(0|[1-9][0-9]{0,15}), signature=([0-9a-f]{130})"
)


def server_name(text: str) -> str:
    """Return a server's name, HOST:PORT, in the one form that is compared.

    Raises:
        ConfigError: it is none.
    """
    found = _NAME.fullmatch(text.lower())
    if found is None or not 0 < int(found[2]) <= 65_535:
        raise ConfigError(f"{text!r} is no name of a store's server: HOST:PORT wanted")
    return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """One change that is asked of a server.

    Attributes:
        account: who signs it.
        server: HOST:PORT, as the writer's URL has it.
        action: "put", "pin" or "unpin".
        content: the content's CID.
        size: its bytes; of a pin 0.
        issued: when it was signed, in milliseconds since 1970 UTC.
    """

    account: str
    server: str
    action: str
    content: str
    size: int
    issued: int

    def header(self, account: Account) -> str:
        """Return the request's `authorization`, signed by the account."""
        signature = account.sign_digest(self._digest()).hex()
        return (
            f"Fedledger account={self.account}, server={self.server}, issued={self.issued}, "
            f"signature={signature}"
        )

    @classmethod
    def read(cls, header: str, *, action: str, content: str, size: int) -> Self:
        """Read an `authorization`: the signature is the account's, over what the request is about.

        Raises:
            AccountError: it is of another form, or signed by another account or for something else.
        """
        found = _FORM.fullmatch(header)
        if found is None or not is_checksummed(found[1]):
            raise AccountError("the request carries no signature of an account")
        request = cls(
            account=found[1],
            server=found[2],
            action=action,
            content=content,
            size=size,
            issued=int(found[3]),
        )
        try:
            signer = recover_digest(request._digest(), bytes.fromhex(found[4]))
        except CallError as error:
            raise AccountError(f"the request is about nothing: {error}") from error
        if signer != request.account:
            raise AccountError(
                f"the signature is not one of {request.account} to {action} {size} bytes as "
                f"{content} at {request.server}"
            )
        return request

    def _digest(self) -> bytes:
        values = {
            "server": self.server,
            "action": self.action,
            "content": self.content,
            "size": self.size,
            "issued": self.issued,
        }
        return _STATEMENT.digest(_DOMAIN, values)
