"""A server that asks the trainers of an encrypted federation what it likes, and in what order.

It makes its messages itself and hands them to `signing_mod`, as a SuperNode would. Nothing between
it and a trainer is honest but the trainer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict

from fedledger.arrays import Arrays, read_record, to_record, to_safetensors
from fedledger.clients import signing_mod
from fedledger.clients.phases import PHASES
from fedledger.crypto.threshold import ThresholdKeys
from fedledger.experiments.run.engines.wire import task_identity
from fedledger.ledger_plugins.contracts.threshold_keys.lists import CiphertextList, Entry
from fedledger.ledger_plugins.contracts.threshold_keys.statements import LIST, MASKED
from fedledger.ledger_plugins.contracts.threshold_keys.terms import ThresholdTerms
from fedledger.ledger_plugins.signing import Call, Domain
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.records import CallRequest, Signatures, SigningRequest, StatementRequest
from support.encrypted import EncryptedFederation, dealt

VALUES = 100
"""Values of the model: two ciphertexts of 2,048 bits."""


@dataclass(frozen=True)
class Sent:
    """A masked update as its trainer sent it."""

    entry: Entry
    arrays: Arrays
    calls: Sequence[bytes] = ()


@dataclass
class HostileServer:
    """A server, and the trainers whose messages it makes; each message is a fresh process's."""

    federation: EncryptedFederation
    model: Arrays = field(default_factory=lambda: {"layer": np.zeros(VALUES, np.float32)})
    terms_of: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    task: int = 1

    def __post_init__(self) -> None:
        strategy = self.federation.encrypted(**self.terms_of)
        self.terms: ThresholdTerms = strategy.protocol.settings
        strategy.task.open(self.model, 9, strategy.protocol)
        self.task = strategy.task.opened.id
        self.spec = strategy.task.opened.spec
        self.text = self.federation.store.get(self.spec).decode()
        self.seen = self.federation.ledger.settled().hash
        self.learned = [0.25] * self.federation.size
        self.config: dict[int, dict[str, Any]] = {}

    # What it knows -------------------------------------------------------------------------

    @property
    def keys(self) -> ThresholdKeys:
        return dealt(self.federation.size, self.federation.threshold)[0]

    def domain(self, number: int = 1, **changes: Any) -> Domain:
        return replace(Domain(4242, self.federation.contract, self.task, number), **changes)

    def dealing(self) -> bytes:
        return self.federation.store.get(self.terms.dealing)

    def digest(self, listed: CiphertextList, number: int = 1) -> bytes:
        return listed.digest(self.domain(number), self.keys.digest)

    # Asking --------------------------------------------------------------------------------

    def ask(
        self,
        who: int,
        phase: str,
        number: int = 1,
        records: Mapping[str, ArrayRecord] | None = None,
        **details: Any,
    ) -> Message:
        """Return a trainer's reply; what it raises is what the server would get as its error."""
        ledger, account = self.federation.ledger, self.federation.clients[who]
        calls, statements = [], []
        for one in PHASES.load(phase)().signs:
            if isinstance(one, Call):
                terms = ledger.terms(one.contract, one.function)
                calls.append(CallRequest(one.name, terms.to, 0, 0, 0))
            else:
                statements.append(StatementRequest(one.name, one.type))
        request = SigningRequest(
            "threshold-paillier",
            phase,
            self.task,
            number,
            4242,
            self.federation.contract,
            calls,
            statements,
            [account],
            [0],
            {"specification": self.text, **details},
            seen=self.seen,
        )
        plain: dict[str, Any] = {
            "config": ConfigRecord({"server-round": number}),
            **(records or {}),
        }
        content = request.added_to(RecordDict(plain))
        context = Context(
            run_id=1,
            node_id=who + 1,
            node_config={"partition-id": who, **self.config.get(who, {})},
            state=RecordDict(),
            run_config={
                "simulation-keys": str(self.federation.keys.path),
                "simulation-salts": self.federation.salts,
            },
        )
        with task_identity(1):
            message = Message(content, dst_node_id=who + 1, message_type="train")
            return signing_mod(message, context, self.app)

    def app(self, message: Message, context: Context) -> Message:
        """Move every value of the model by what the trainer has learned."""
        by = self.learned[int(context.node_config["partition-id"])]
        before = read_record(message.content.array_records["arrays"])
        after = {key: (one + by).astype(one.dtype) for key, one in before.items()}
        metrics = MetricRecord({"num-examples": 10})
        records = {"arrays": to_record(after), "metrics": metrics}
        return Message(RecordDict(records), reply_to=message)

    def accepts(self, *who: int) -> list[Message]:
        """Let trainers accept the keys."""
        dealing = self.dealing().hex()
        return [self.ask(one, "keys", dealing=dealing) for one in who]

    def masked(self, who: int, number: int = 1, **details: Any) -> Sent:
        """Return a trainer's masked update."""
        arrays = {"arrays": to_record(self.model)}
        details = {"samples-key": "num-examples", **details}
        return self.sent(who, self.ask(who, "masked", number, arrays, **details))

    def sent(self, who: int, reply: Message) -> Sent:
        """Return what a reply to "masked" holds."""
        arrays = read_record(reply.content.array_records["arrays"])
        signed = Signatures.taken_from(reply.content)
        [(values, signature)] = signed.statements
        samples = int(json.loads(values)["samples"])
        entry = Entry(
            self.federation.clients[who], cid_of(to_safetensors(arrays)), samples, signature
        )
        return Sent(entry, arrays, signed.transactions)

    def list_of(self, *sent: Sent) -> CiphertextList:
        return CiphertextList(tuple(one.entry for one in sent))

    def asked_to_sign(
        self, who: int, listed: CiphertextList, sent: Sequence[Sent], number: int = 1
    ) -> bytes:
        """Return a trainer's signature of a list."""
        records = {one.entry.account: to_record(one.arrays) for one in sent}
        reply = self.ask(who, "list", number, records, entries=listed.plain())
        [(_, signature)] = Signatures.taken_from(reply.content).statements
        return signature

    def signatures(
        self, who: Sequence[int], sent: Sequence[Sent], number: int = 1
    ) -> dict[str, str]:
        """Return by account what trainers sign of the list of these updates, in hexadecimal."""
        listed, accounts = self.list_of(*sent), self.federation.clients
        return {accounts[one]: self.asked_to_sign(one, listed, sent, number).hex() for one in who}

    def shares(
        self, who: int, listed: CiphertextList, signatures: Mapping[str, str], number: int = 1
    ) -> Arrays:
        """Return a trainer's decryption shares."""
        details = {"entries": listed.plain(), "signatures": dict(signatures)}
        reply = self.ask(who, "shares", number, None, **details)
        return read_record(reply.content.array_records["shares"])

    # Forging: what a colluder signs with its account, of which the server has the key -------

    def forged_entry(self, who: int, arrays: Arrays, samples: int = 10, **where: Any) -> Sent:
        """Return a masked update that an account signs whatever is in it."""
        cid, account = cid_of(to_safetensors(arrays)), self.federation.keys.account(who)
        values = {"cid": cid_to_bytes(cid), "samples": samples}
        signature = account.sign_digest(MASKED.digest(self.domain(**where), values))
        return Sent(Entry(account.address, cid, samples, signature), arrays)

    def forged_signature(self, who: int | str, digest: bytes, **where: Any) -> str:
        """Return a list's signature by an account that looks at nothing."""
        account = self.federation.keys.account(who)
        return account.sign_digest(LIST.digest(self.domain(**where), {"list": digest})).hex()
