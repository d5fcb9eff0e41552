"""ContractRegistry's façade."""

from ...accounts import Account
from ...base import Receipt
from ..digest import twin_digest
from ..facade import Facade
from ..meanings import Address
from ..registry import abi_digest, contract_of, twin_of, versioned

__all__ = ["ContractRegistry"]


class ContractRegistry(Facade):
    """The contracts of an embedded chain, and the administrator's way to add more."""

    contract = "ContractRegistry"

    def add(
        self, account: Account, name: str, *, version: int | None = None, since: int = 0
    ) -> Receipt:
        """Add a contract that is installed here, or the next version of one.

        Args:
            account: the chain's administrator.
            name: the contract's name.
            version: its version; default: the one after the newest on the chain.
            since: index of the first block that executes it; 0: the next block.

        Raises:
            CallError: nobody registered this contract or version here.
        """
        number = self.versions(name) + 1 if version is None else version
        contract_of(name)  # an unknown name is said before its version
        named = versioned(name, number)
        code = twin_digest(twin_of(named))
        return self._send(account, "add", name, number, since, abi_digest(named), code)

    def names(self) -> tuple[str, ...]:
        """Return the names of all contracts, sorted."""
        return self._call(tuple[str, ...], "names")

    def versions(self, name: str) -> int:
        """Return how many versions of a contract the chain has, those of later blocks too."""
        return self._call(int, "versions", name)

    def administrator(self) -> str:
        """Return who may add contracts; the zero address: nobody, ever."""
        return self._call(Address, "administrator")
