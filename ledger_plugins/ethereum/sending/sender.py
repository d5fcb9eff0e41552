"""Sending calls: what can be refused is refused before, and what was sent is waited for.

A call that would fail is not sent, so that it changes nothing at all, no nonce and no ether (clause
L2). Whether it would is asked of the node, on the state of the moment. In a batch everything up to
the first call that would fail now is sent together; then that one is asked about again.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedledger.errors import (
    AccountError,
    CallError,
    ContractError,
    LedgerError,
    LedgerUnavailable,
    TransactionRefused,
)

from ...base import CallResult, Receipt, SignedTransaction
from ...contracts.abi import decode_call, is_view
from ...transactions import checked
from ..reading import Times
from ..rpc.codec import as_hex, as_int, error_of
from ..rpc.dialects import SYNCHRONOUS
from ..rpc.node import Node, NodeRefusal, Request
from ..rpc.refusals import refusal_of, why_reverted
from .developers import refuse_public_account
from .funding import fund
from .outbox import Outbox
from .waiting import await_receipts

__all__ = ["Chain", "Sender", "as_receipt"]

_log = logging.getLogger(__name__)
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Chain:
    """What sending has to know of the chain.

    Attributes:
        id: EIP-155 id.
        names: address to contract name.
        confirmations: blocks that stand on a block when it counts, itself included.
        wait: seconds that a call has to be included and confirmed.
    """

    id: int
    names: Mapping[str, str]
    confirmations: int
    wait: float


@dataclass(slots=True)
class _Call:
    place: int
    transaction: SignedTransaction
    contract: str

    @property
    def most(self) -> int:
        """Wei it may cost."""
        terms = self.transaction.unsigned.terms
        return terms.gas * terms.max_fee_per_gas

    @property
    def request(self) -> Request:
        """The question whether it would fail now."""
        unsigned = self.transaction.unsigned
        call = {
            "from": self.transaction.sender,
            "to": unsigned.terms.to,
            "gas": hex(unsigned.terms.gas),
            "data": as_hex(unsigned.data),
        }
        return "eth_call", (call, "pending")


@dataclass(slots=True)
class Sender:
    """Sends calls to a node.

    Attributes:
        node: the node.
        chain: the chain it is on.
        outbox: notes what is sent, before it is.
        times: reads receipts.
    """

    node: Node
    chain: Chain
    outbox: Outbox
    times: Times
    _synchronous: bool = True

    def send_all(self, transactions: Sequence[SignedTransaction]) -> list[CallResult]:
        """Execute calls in order, each on its own.

        A call that no block has after the time to wait has LedgerUnavailable for its result and
        stays in the outbox.

        Raises:
            LedgerUnavailable: no answer.
        """
        results: dict[int, CallResult] = {}
        waiting: list[_Call] = []
        for place, transaction in enumerate(transactions):
            try:
                waiting.append(self._admit(place, transaction))
            except TransactionRefused as error:
                results[place] = error
        while waiting:
            ready, waiting = self._sort_out(waiting, results)
            results |= self._send(ready)
        return [results[place] for place in range(len(transactions))]

    def why_reverted(
        self, transaction: SignedTransaction, receipt: Mapping[str, Any]
    ) -> ContractError | TransactionRefused:
        """Return why a call failed in its block."""
        contract = self.chain.names[transaction.unsigned.terms.to]
        return why_reverted(self.node, transaction, contract, receipt, self.chain.names.values())

    def _admit(self, place: int, transaction: SignedTransaction) -> _Call:
        """Check what needs no node; what an object says beside its envelope is not believed."""
        decoded = checked(transaction)
        terms = decoded.unsigned.terms
        if terms.chain_id != self.chain.id:
            raise TransactionRefused(
                "chain", f"signed for chain {terms.chain_id}, this is {self.chain.id}"
            )
        contract = self.chain.names.get(terms.to)
        if contract is None:
            raise TransactionRefused("contract", f"no contract at {terms.to}")
        try:
            refuse_public_account(decoded.sender, self.chain.id)
            function, _ = decode_call(contract, decoded.unsigned.data)
        except CallError as error:
            raise TransactionRefused("contract", str(error)) from error
        except AccountError as error:
            raise TransactionRefused("signature", str(error)) from error
        if is_view(contract, function):
            raise TransactionRefused("contract", f"{contract}.{function} is a view, nothing to do")
        return _Call(place, decoded, contract)

    def _sort_out(
        self, calls: list[_Call], results: dict[int, CallResult]
    ) -> tuple[list[_Call], list[_Call]]:
        """Return what can be sent now and what has to wait for it; the rest has its result."""
        nonces = self._nonces({call.transaction.sender for call in calls})
        answers = self.node.ask_all([call.request for call in calls])
        ready: list[_Call] = []
        for index, (call, answer) in enumerate(zip(calls, answers, strict=True)):
            try:
                self._check_nonce(call, nonces, ready)
            except TransactionRefused as error:
                results[call.place] = error
                continue
            if isinstance(answer, NodeRefusal) and not self._under_way(call):
                if ready:
                    return ready, calls[index:]
                results[call.place] = self._refusal(call, answer)
                continue
            ready.append(call)
            if len(ready) == _AT_ONCE:
                return ready, calls[index + 1 :]
        return ready, []

    def _under_way(self, call: _Call) -> bool:
        """Tell whether the node has the call already: then it would fail a second time only."""
        return call.transaction.hash in self.outbox.entries and self._has(call.transaction.hash)

    def _nonces(self, senders: set[str]) -> dict[str, tuple[int, int]]:
        """Return each sender's nonces: of the newest block, and with what the node has waiting."""
        asked = sorted(senders)
        answers = self.node.results(
            [("eth_getTransactionCount", (one, tag)) for one in asked for tag in _TAGS]
        )
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return {
            one: (as_int(mined), max(as_int(mined), as_int(pending)))
            for one, (mined, pending) in zip(asked, pairs, strict=True)
        }

    def _check_nonce(
        self, call: _Call, nonces: Mapping[str, tuple[int, int]], ready: Sequence[_Call]
    ) -> None:
        sender, nonce = call.transaction.sender, call.transaction.unsigned.nonce
        mined, pending = nonces[sender]
        own = [one.transaction.unsigned.nonce for one in ready if one.transaction.sender == sender]
        following = max([pending, *(one + 1 for one in own)])
        if nonce < mined:
            entry = self.outbox.entries.get(call.transaction.hash)
            if entry is not None and entry.block is None:
                return  # it was sent before, and nobody was told what became of it
            if self.node.ask("eth_getTransactionReceipt", call.transaction.hash) is not None:
                raise TransactionRefused("replay", f"{call.transaction.hash} was executed before")
        if nonce < mined or nonce > following or nonce in own:
            expected = following if nonce > following or nonce in own else mined
            raise TransactionRefused("nonce", f"{nonce}, the next of {sender} is {expected}")

    def _refusal(self, call: _Call, answer: NodeRefusal) -> CallResult:
        if answer.reverted:
            if answer.data:
                return error_of(call.contract, answer.data, self.chain.names.values())
            return ContractError(call.contract, "Error", {"message": answer.text})
        refused = refusal_of(answer, call.transaction)
        if refused is None:
            raise answer
        return refused

    def _send(self, calls: list[_Call]) -> dict[int, CallResult]:
        """Send calls that would not fail, and wait for them."""
        needs: dict[str, int] = {}
        for call in calls:
            needs[call.transaction.sender] = needs.get(call.transaction.sender, 0) + call.most
        poor = fund(self.node, self.chain.id, needs, self.chain.wait)
        results: dict[int, CallResult] = {
            call.place: TransactionRefused("funds", poor[call.transaction.sender])
            for call in calls
            if call.transaction.sender in poor
        }
        sent = [call for call in calls if call.place not in results]
        if not sent:
            return results
        self.outbox.send([call.transaction for call in sent])
        receipts = self._submit(sent, results)
        sent = [call for call in sent if call.place not in results]
        hashes = [call.transaction.hash for call in sent]
        left = [one for one in hashes if one not in receipts]
        if left:
            receipts |= await_receipts(
                self.node,
                left,
                self.chain.wait,
                confirmations=self.chain.confirmations,
                together=len(sent) > 1,
                idle=self.nudge,
            )
        return results | self._conclude(sent, receipts)

    def _submit(self, calls: list[_Call], results: dict[int, CallResult]) -> dict[str, Any]:
        """Hand calls to the node; return the receipts that it gives at once."""
        patient = self._synchronous and self.chain.wait >= self.node.timeout
        if len(calls) == 1 and patient and self.chain.confirmations == 1:
            answers = [self._submit_one(calls[0].transaction)]
        else:
            answers = self.node.ask_all([_raw(call.transaction) for call in calls])
        receipts = {}
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, dict) and answer.get("blockNumber") is not None:
                receipts[call.transaction.hash] = answer
            elif isinstance(answer, NodeRefusal):
                refused = refusal_of(answer, call.transaction)
                if refused is None or answer.repeated or self._has(call.transaction.hash):
                    continue  # the node has it already, or may have it: it is waited for
                results[call.place] = refused
                self.outbox.end([(call.transaction.hash, str(refused))])
        return receipts

    def _has(self, transaction: str) -> bool:
        """Tell whether the node has a call, in a block or among what waits for one."""
        found = self.node.results(
            [
                ("eth_getTransactionReceipt", (transaction,)),
                ("eth_getTransactionByHash", (transaction,)),
            ]
        )
        return any(one is not None for one in found)

    def _submit_one(self, transaction: SignedTransaction) -> Any:
        """Send one call; a node with EIP-7966 answers when a block has it.

        One that takes too long for that is asked again and again from then on, with pauses.
        """
        lost = False
        try:
            return self.node.ask("eth_sendRawTransactionSync", as_hex(transaction.raw), again=False)
        except NodeRefusal as error:
            if not (error.unknown_method or SYNCHRONOUS.word(error.code, error.text)):
                return error
            lost = not error.unknown_method
        except LedgerUnavailable as error:
            _log.info("%s: now asking for receipts instead", error)
            lost = True
        self._synchronous = False
        (answer,) = self.node.ask_all([_raw(transaction)])
        if isinstance(answer, NodeRefusal):
            answer.repeated |= lost
        return answer

    def nudge(self, hashes: Sequence[str]) -> list[str]:
        """Send again what a node may have lost; return what another call replaced."""
        calls = [self.outbox.entries[one].transaction for one in hashes]
        self.node.ask_all([_raw(call) for call in calls])
        nonces = self._nonces({call.sender for call in calls})
        passed = [call.hash for call in calls if call.unsigned.nonce < nonces[call.sender][0]]
        receipts = self.node.results([("eth_getTransactionReceipt", (one,)) for one in passed])
        return [one for one, found in zip(passed, receipts, strict=True) if found is None]

    def _conclude(self, calls: list[_Call], receipts: Mapping[str, Any]) -> dict[int, CallResult]:
        results: dict[int, CallResult] = {}
        ends, missing, done = [], [], []
        for call in calls:
            receipt = receipts.get(call.transaction.hash)
            if receipt is None:
                missing.append(call)
            elif as_int(receipt["status"]):
                done.append((call.place, receipt))
            else:
                results[call.place] = self.why_reverted(call.transaction, receipt)
                ends.append((call.transaction.hash, "reverted"))
        read = self.times.receipts([receipt for _, receipt in done])
        self.outbox.place([(one.transaction, one.block, one.block_hash) for one in read])
        results |= zip([place for place, _ in done], read, strict=True)
        replaced = self._replaced(missing)
        for call in missing:
            if call.transaction.hash in replaced:
                why = f"another transaction of {call.transaction.sender} used this nonce"
                results[call.place] = TransactionRefused("nonce", why)
                ends.append((call.transaction.hash, why))
            elif call.place not in results:
                results[call.place] = LedgerUnavailable(
                    f"{call.transaction.hash} is in no block with {self.chain.confirmations} "
                    f"confirmations after up to {self.chain.wait:g} seconds; it may still be "
                    "executed"
                )
        self.outbox.end(ends)
        return results

    def _replaced(self, calls: Sequence[_Call]) -> set[str]:
        return set(self.nudge([call.transaction.hash for call in calls])) if calls else set()


_TAGS = ("latest", "pending")


def _raw(transaction: SignedTransaction) -> Request:
    return "eth_sendRawTransaction", (as_hex(transaction.raw),)


def as_receipt(result: CallResult) -> Receipt:
    """Return a receipt; raise what is none."""
    if isinstance(result, LedgerError):
        raise result
    return result
