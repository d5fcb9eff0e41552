"""Twins in memory, and what they refuse."""

import copy

import pytest
from eth_hash.auto import keccak

from fedledger.errors import ContractError
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.twins import TWINS, Environment, genesis_states

__all__ = ["ADDRESSES", "ADMIN", "ANN", "BOB", "CID", "CID2", "EVE", "OWNER", "Bench", "refused"]

ADDRESSES = {name: address_from_bytes(keccak(name.encode())[12:]) for name in TWINS}
ADMIN, OWNER, ANN, BOB, EVE = (address_from_bytes(bytes([n]) * 20) for n in range(1, 6))
CID, CID2 = b"\x01\x55\x12\x20" + bytes(32), b"\x01\x55\x12\x20" + b"\x07" * 32


class Bench:
    """Executes calls on twins in memory; everything passes through the ABI on its way."""

    def __init__(self, admin=ADMIN):
        self.states = genesis_states(admin, ADDRESSES)
        self.events = []
        self.now = 1_000

    def send(self, sender, contract, function, *args):
        """Execute a call; put the states back when it fails, as a chain does."""
        assert not abi.is_view(contract, function)
        before = copy.deepcopy(self.states)
        emitted = []
        try:
            result = self._run(sender, contract, function, args, emitted)
        except ContractError as error:
            self.states = before
            check_error(error)
            raise
        self.events += emitted
        return result

    def view(self, contract, function, *args):
        """Return a view's result."""
        assert abi.is_view(contract, function)
        before = copy.deepcopy(self.states)
        result = self._run(ZERO_ADDRESS, contract, function, args, emitted := [])
        assert self.states == before
        assert not emitted
        return result

    def _run(self, sender, contract, function, args, emitted):
        name, decoded = abi.decode_call(contract, abi.encode_call(contract, function, *args))

        def emit(source, event, arguments):
            topics, data = abi.encode_event(source, event, arguments)
            assert abi.decode_event(source, topics, data) == (event, arguments)
            emitted.append((event, arguments))

        environment = Environment(self.now, 7, ADDRESSES, self.states, emit, TWINS)
        result = getattr(TWINS[contract](environment, sender), name)(*decoded)
        return abi.decode_result(contract, name, abi.encode_result(contract, name, result))


def check_error(error):
    """Check that the ABI has this error with these arguments in this order."""
    data = abi.encode_error(error.contract, error.error, error.arguments)
    assert abi.decode_error(error.contract, data) == (error.error, error.arguments)


def refused(bench, sender, contract, call, error):
    """Check that a call fails with this error and values, and changes nothing (clause L2)."""
    states, events = copy.deepcopy(bench.states), list(bench.events)
    with pytest.raises(ContractError) as caught:
        bench.send(sender, contract, *call)
    assert (caught.value.error, *caught.value.arguments.values()) == error
    assert (bench.states, bench.events) == (states, events)
