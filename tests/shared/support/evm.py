"""The contracts on an EVM in this process, and their twins, both taking the same calls.

Both benches answer in the same words: what a function returns, its events as (contract, name,
arguments), and refusals as ContractError.
"""

import copy

import eth_abi
import rlp
from eth_hash.auto import keccak
from eth_tester import EthereumTester, PyEVMBackend

from fedledger.errors import CallError, ContractError
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS, address_from_bytes
from fedledger.ledger_plugins.contracts import abi
from fedledger.ledger_plugins.contracts.registry import artifact_of

from .twins import TWINS, Environment, genesis_states, holders_of

__all__ = ["EvmBench", "TwinBench"]

_MOST_GAS = 1 << 24  # EIP-7825 takes no transaction above this
_SOME_GAS = 1 << 20  # for each of several in a block


def _raw(address):
    return bytes.fromhex(address[2:])


def _refusal(called, data):
    """Return the error in a call's revert data: of the contract called, else of another one."""
    for contract in sorted(TWINS, key=lambda name: name != called):
        try:
            return ContractError(contract, *abi.decode_error(contract, data))
        except CallError:
            continue
    raise AssertionError(f"{called} reverted with {data.hex() or 'nothing'}")


class EvmBench:
    """The bytecode of the contracts' artifacts on py-evm; every call is a transaction and a block.

    Attributes:
        people: funded accounts; the first one is the tokens' admin.
        addresses: contract name to address.
        chain_id: EIP-155 id.
        now: the last block's time in seconds.
        block: its number.
        gas: what the last transaction used.
    """

    def __init__(self):
        self._tester = EthereumTester(PyEVMBackend())
        self._chain = self._tester.backend.chain
        self._done = None
        apply = self._chain.apply_transaction

        def applied(transaction):
            done = apply(transaction)
            self._done = done[2]
            return done

        self._chain.apply_transaction = applied
        *self.people, deployer = self._tester.get_accounts()
        self.now = self._tester.get_block_by_number("latest")["timestamp"]
        self.addresses = {
            name: address_from_bytes(keccak(rlp.encode([_raw(deployer), nonce]))[12:])
            for nonce, name in enumerate(TWINS)
        }
        roles = holders_of(self.addresses)
        known = {
            "admin": self.people[0],
            "minters": roles["MINTER_ROLE"],
            "proposers": [ZERO_ADDRESS],
            "lockers": roles.get("LOCKER_ROLE", []),
            "governors": roles.get("GOVERNOR_ROLE", []),
            "stakeToken": self.addresses["StakeToken"],
            "tasks": self.addresses["TrainingTask"],
            "bonds": self.addresses["Bonds"],
            "beacon": self.addresses["Beacon"],
            "reports": self.addresses["Reports"],
        }
        for name, address in self.addresses.items():
            assert self._deploy(deployer, name, known) == address
        self.chain_id = self._chain.chain_id
        self._names = {address: name for name, address in self.addresses.items()}
        self._start = self._tester.take_snapshot()

    @property
    def block(self):
        return self._tester.get_block_by_number("latest")["number"]

    def header(self, number):
        """Return a block's header as RLP, and the randomness in it."""
        header = self._chain.get_canonical_block_header_by_number(number)
        return rlp.encode(header), header.mix_hash

    def restart(self):
        """Go back to the time right after the deployment."""
        self._tester.revert_to_snapshot(self._start)
        self.now = self._tester.get_block_by_number("latest")["timestamp"]

    def send(self, sender, contract, function, *args, later=1):
        """Return what a function returned and its events; `later` seconds after the last block."""
        data = abi.encode_call(contract, function, *args)
        receipt = self._transact({"from": sender, "to": self.addresses[contract]}, data, later)
        return self._answer(contract, function, receipt, self._done.output)

    def send_at_once(self, *calls):
        """Put calls into one block, a second later; return what each comes to, as `send` does."""
        self.now += 1
        self._chain.header = self._chain.header.copy(timestamp=self.now)
        normal, sent = self._tester.normalizer, []
        for sender, contract, function, *args in calls:
            data = "0x" + abi.encode_call(contract, function, *args).hex()
            call = {"from": sender, "to": self.addresses[contract], "data": data, "value": 0}
            call |= {"gas": _SOME_GAS, "nonce": self._chain.get_vm().state.get_nonce(_raw(sender))}
            raw = normal.normalize_inbound_transaction(call)
            done = self._tester.backend.send_transaction(raw)
            sent.append((contract, function, done, self._done.output))
        self._tester.mine_block()
        assert self._tester.get_block_by_number("latest")["timestamp"] == self.now
        for contract, function, raw, output in sent:
            transaction = normal.normalize_outbound_transaction_hash(raw)
            receipt = self._tester.get_transaction_receipt(transaction)
            yield self._answer(contract, function, receipt, output)

    def _answer(self, contract, function, receipt, output):
        if not receipt["status"]:
            raise _refusal(contract, output)
        events = []
        for log in receipt["logs"]:
            name = self._names[log["address"]]
            topics = [_raw(topic) for topic in log["topics"]]
            events.append((name, *abi.decode_event(name, topics, _raw(log["data"]))))
        return abi.decode_result(contract, function, output), events

    def ask(self, sender, contract, function, *args):
        """Return what a function would return if anybody at all sent it now."""
        data = abi.encode_call(contract, function, *args)
        taken, output = self.ask_raw(sender, contract, data)
        if not taken:
            raise _refusal(contract, output)
        return abi.decode_result(contract, function, output)

    def ask_raw(self, sender, contract, data):
        """Tell whether a call of `data` would be taken, and what it would return."""
        vm = self._chain.get_vm(self._chain.get_canonical_head())
        address = _raw(self.addresses[contract])
        done = vm.execute_bytecode(
            origin=_raw(sender),
            gas_price=0,
            gas=_MOST_GAS,
            to=address,
            sender=_raw(sender),
            value=0,
            data=data,
            code=vm.state.get_code(address),
        )
        return done.is_success, done.output

    def view(self, contract, function, *args):
        """Return a view's result."""
        assert abi.is_view(contract, function)
        return self.ask(ZERO_ADDRESS, contract, function, *args)

    def _deploy(self, deployer, contract, known):
        artifact = artifact_of(contract)
        constructors = (one for one in artifact["abi"] if one["type"] == "constructor")
        inputs = [one for constructor in constructors for one in constructor["inputs"]]
        values = [known[one["name"]] for one in inputs]
        code = _raw(artifact["bytecode"]) + eth_abi.encode([one["type"] for one in inputs], values)
        return self._transact({"from": deployer}, code, 1)["contract_address"]

    def _transact(self, transaction, data, later):
        self.now += later
        self._chain.header = self._chain.header.copy(timestamp=self.now)
        transaction |= {"data": "0x" + data.hex(), "gas": _MOST_GAS, "value": 0}
        receipt = self._tester.get_transaction_receipt(self._tester.send_transaction(transaction))
        assert self._tester.get_block_by_number("latest")["timestamp"] == self.now
        self.gas = receipt["gas_used"]
        return receipt


class TwinBench:
    """The contracts' twins in memory.

    Args:
        admin: the tokens' admin.
        addresses: contract name to address.
        chain_id: EIP-155 id.
    """

    def __init__(self, admin, addresses, chain_id=0):
        self.addresses = addresses
        self.chain_id = chain_id
        self.states = genesis_states(admin, addresses)

    def send(self, sender, contract, function, *args, now, block=1):
        """Return what a function returned at the time `now` and its events."""
        before, events = copy.deepcopy(self.states), []
        try:
            return self._run(sender, contract, function, args, events, (now, block)), events
        except ContractError:
            self.states = before
            raise

    def ask(self, sender, contract, function, *args):
        """Return what a function would return if anybody at all sent it now."""
        before = copy.deepcopy(self.states)
        try:
            return self._run(sender, contract, function, args, [], (0, 1))
        finally:
            self.states = before

    def view(self, contract, function, *args):
        """Return a view's result."""
        return self._run(ZERO_ADDRESS, contract, function, args, [], (0, 1))

    def _run(self, sender, contract, function, args, events, when):  # noqa: PLR0917 - one helper
        name, values = abi.decode_call(contract, abi.encode_call(contract, function, *args))

        def emit(*event):
            events.append(event)

        now, block = when
        environment = Environment(
            now, block, self.addresses, self.states, emit, TWINS, chain_id=self.chain_id
        )
        result = getattr(TWINS[contract](environment, sender), name)(*values)
        return abi.decode_result(contract, name, abi.encode_result(contract, name, result))
