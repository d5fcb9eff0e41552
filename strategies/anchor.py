"""One training task's life on the ledger and in the store, as a strategy drives it.

The order within a round is what makes a killed run resumable: contents go to the store first, then
the signed transactions to the ledger, then the evidence and the new model to the store, then the
aggregate to the ledger, then the rewards. Each step can be repeated.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flwr.app import Message, RecordDict

from fedledger.arrays import Arrays, Layout, from_safetensors, to_safetensors
from fedledger.errors import ConfigError, UpdateRejected
from fedledger.records import LEDGER, Form, SigningRequest

from ..ledger_plugins.accounts import Account
from ..ledger_plugins.addresses import checksum_address
from ..ledger_plugins.base import Ledger, Receipt
from ..ledger_plugins.contracts import Submission, Task, TrainingTask
from ..ledger_plugins.storage.base import Store
from . import documents
from .documents import Accepted, Candidate, Dropped, Evidence, Late, Specification
from .election import ballot_of
from .replies import CheckedUpdate, Expectation, check_reply

__all__ = ["KEPT", "Anchor", "counted_votes", "past_votes", "payment_batches", "unpaid"]

logger = logging.getLogger(__name__)

MAX_CLIENTS = 256
PAYMENT_BATCH = 64
_FRAMING = 1024
KEPT = "kept"


@dataclass
class Anchor:
    """Puts one task on a ledger, round by round.

    Attributes:
        ledger: where it goes.
        store: where contents go.
        account: the aggregator's account.
        clients: registered accounts.
        model_id: the task's name; an unfinished task of this owner and name is continued.
        reward: stake for each contributor and round.
        form: what replies hold.
        samples_key: metric with the number of samples.
        window: seconds in which the contract itself accepts updates, 0 for no limit.
        owner: who proposed the task and appointed `account`; None: `account` proposes it.
    """

    ledger: Ledger
    store: Store
    account: Account
    clients: Sequence[str]
    model_id: str
    reward: int
    form: Form
    samples_key: str
    window: int = 0
    owner: str | None = None

    def __post_init__(self) -> None:
        if not self.clients or len(set(self.clients)) != len(self.clients):
            raise ConfigError("clients: a list of distinct account addresses is needed")
        if len(self.clients) > MAX_CLIENTS:
            raise ConfigError(
                f"clients: {len(self.clients)} are too many, one aggregate names at most "
                f"{MAX_CLIENTS}: split the federation into several tasks"
            )
        self._contract = TrainingTask(self.ledger)
        self._positions = {client: position for position, client in enumerate(self.clients)}
        self._nodes: dict[int, str] = {}
        self._layout: Layout | None = None
        self.task: Task | None = None

    # The task ------------------------------------------------------------------------------

    def open(
        self, initial: Arrays, rounds: int, strategy: str, parameters: dict[str, Any]
    ) -> Arrays:
        """Propose the task, or continue the one that is there; return the model to go on with.

        Raises:
            ConfigError: a task of this name exists with other settings or another aggregator, or
                there is none of the owner given.
        """
        layout = Layout.from_arrays(initial)
        self._layout = layout
        model = to_safetensors(initial)
        specification = Specification(
            strategy=strategy,
            parameters=parameters,
            clients=list(self.clients),
            layout=layout.to_json(),
            form=self.form,
            max_update_bytes=self._cap(layout),
            profile=self.store.profile,
        )
        owner = checksum_address(self.owner) if self.owner else self.account.address
        existing = self._contract.find(owner, self.model_id)
        if not existing and owner != self.account.address:
            raise ConfigError(
                f"{owner} has no task {self.model_id!r} on the ledger: its owner proposes a task "
                f"and then appoints {self.account.address} its aggregator"
            )
        spec_cid, model_cid = documents.save(specification, self.store), self.store.put(model)
        if not existing:
            task, _ = self._contract.propose(
                self.account,
                model_id=self.model_id,
                model_cid=model_cid,
                rounds=rounds,
                window=self.window,
                reward=self.reward,
                spec=spec_cid,
            )
            self.task = self._contract.task(task)
            logger.info("task %d (%s) proposed: %d rounds", task, self.model_id, rounds)
            return initial
        self.task = self._contract.task(existing[-1])
        self._refuse_other(self.task, spec_cid, model_cid, rounds)
        aggregator = self._contract.roles(self.task.id).aggregator
        if aggregator != self.account.address and not self.task.finished:
            raise ConfigError(
                f"task {self.task.id} ({self.model_id}) is aggregated by {aggregator}, "
                f"not by {self.account.address}"
            )
        self._pay_open_rewards(self.task)
        logger.info(
            "task %d (%s) continues after round %d of %d",
            self.task.id,
            self.model_id,
            self.task.current_round,
            self.task.rounds,
        )
        return self.model()

    def model(self) -> Arrays:
        """Return the model that the open round begins with, as ledger and store have it."""
        return from_safetensors(
            self.store.get(self.opened.current_cid),
            layout=self.layout,
            max_bytes=self._cap(self.layout),
        )

    def rolled_back(self, server_round: int) -> bool:
        """Tell whether a round ended by a rollback; `opened` is then the task as it is now."""
        task = self._contract.task(self.opened.id)
        if task.current_round < server_round:
            return False
        ended = {rollback.round: rollback for rollback in self._contract.rollbacks(task.id)}
        if server_round not in ended:
            return False
        found = ended[server_round]
        by = f"{found.votes} miners" if found.votes else "its owner"
        logger.warning(
            "round %d of task %d was rolled back to round %d by %s; its updates are void",
            server_round,
            task.id,
            found.to_round,
            by,
        )
        self.task = task
        return True

    @property
    def opened(self) -> Task:
        """The task as the ledger had it at the last step; ConfigError before `open`."""
        if self.task is None:
            raise ConfigError("the task is not open yet: call start() on the strategy")
        return self.task

    @property
    def layout(self) -> Layout:
        """The model's layout; ConfigError before `open`."""
        if self._layout is None:
            raise ConfigError("the task is not open yet: call start() on the strategy")
        return self._layout

    # A round -------------------------------------------------------------------------------

    def address(
        self, messages: Iterable[Message], *, form: Form | None = None, ballot: bytes = b""
    ) -> list[Message]:
        """Add to each message what its client needs to sign offline.

        Args:
            messages: the messages.
            form: what is to be signed; default: the updates' form.
            ballot: what is voted on, when votes are to be signed.
        """
        function = "submitVotes" if form == "votes" else "submitUpdate"
        terms = self.ledger.terms("TrainingTask", function)
        nonces = {client: self.ledger.nonce(client) for client in self.clients}
        addressed = []
        for message in messages:
            known = self._nodes.get(message.metadata.dst_node_id)
            meant_for = [known] if known else list(self.clients)
            request = SigningRequest(
                task=self.opened.id,
                round=self.opened.current_round + 1,
                form=form or self.form,
                samples_key=self.samples_key,
                chain_id=terms.chain_id,
                contract=terms.to,
                gas=terms.gas,
                max_fee_per_gas=terms.max_fee_per_gas,
                max_priority_fee_per_gas=terms.max_priority_fee_per_gas,
                clients=meant_for,
                nonces=[nonces[client] for client in meant_for],
                ballot=ballot,
            )
            # Flower lets messages share one RecordDict: give each its own.
            message.content = RecordDict({**message.content, LEDGER: request.to_record()})
            addressed.append(message)
        return addressed

    def expectation(self) -> Expectation:
        """Return what a good reply of this round looks like."""
        terms = self.ledger.terms("TrainingTask", "submitUpdate")
        return Expectation(
            task=self.opened.id,
            round=self.opened.current_round + 1,
            contract=terms.to,
            chain_id=terms.chain_id,
            clients=self._positions,
            layout=self.layout.as_float32() if self.form == "update" else self.layout,
            max_bytes=self._cap(self.layout),
            samples_key=self.samples_key,
        )

    def check(
        self, replies: Iterable[Message], nodes: Iterable[int]
    ) -> tuple[list[CheckedUpdate], list[Dropped]]:
        """Sort replies into usable updates, in the order of `clients`, and dropped ones.

        Args:
            replies: what came back.
            nodes: node ids that were asked; those without a reply are recorded as well.
        """
        expected = self.expectation()
        good: dict[str, CheckedUpdate] = {}
        dropped: list[Dropped] = []
        silent = set(nodes)
        for message in replies:
            node = message.metadata.src_node_id
            silent.discard(node)
            try:
                update = check_reply(message, expected)
                self.bind(node, update.client, good)
            except UpdateRejected as error:
                dropped.append(self.drop(node, error.reason, error.detail))
            except Exception as error:
                logger.warning("reply of node %d cannot be read", node, exc_info=True)
                dropped.append(self.drop(node, "malformed", f"{type(error).__name__}: {error}"))
            else:
                good[update.client] = update
        dropped += [self.drop(node, "no-reply", "nothing arrived in time") for node in silent]
        for entry in dropped:
            logger.warning("update dropped (%s): %s", entry.reason, entry.detail)
        return sorted(good.values(), key=lambda update: update.position), dropped

    def submit(self, updates: Sequence[CheckedUpdate]) -> tuple[list[CheckedUpdate], list[Dropped]]:
        """Store the contents and relay the clients' transactions, in one batch.

        An update that the ledger already has from a run that was killed is not relayed again.
        """
        task, server_round = self.opened.id, self.opened.current_round + 1
        there = self._contract.submissions(task, server_round)
        self.store.put_all(update.content for update in updates)
        fresh = [
            update
            for update in updates
            if update.client not in there or there[update.client].cid != update.cid
        ]
        results = self.ledger.transact_all([update.transaction for update in fresh])
        dropped = [
            Dropped(
                reason="ledger",
                detail=str(result)[:400],
                client=update.client,
                arrival=update.arrival,
            )
            for update, result in zip(fresh, results, strict=True)
            if not isinstance(result, Receipt)
        ]
        refused = {entry.client for entry in dropped}
        for entry in dropped:
            logger.warning("update of %s refused by the ledger: %s", entry.client, entry.detail)
        return [update for update in updates if update.client not in refused], dropped

    def publish(
        self,
        model: Arrays | None,
        *,
        rule: str,
        kept: str | None,
        accepted: Sequence[CheckedUpdate],
        late: Sequence[CheckedUpdate],
        dropped: Sequence[Dropped],
        contributors: Sequence[str],
        reveal: bytes | None,
        candidates: Sequence[Candidate] = (),
    ) -> None:
        """Put the round's model, evidence and aggregate where they belong, then pay the rewards.

        Args:
            model: the new global model, or None when the round keeps the old one.
            rule: the rule used.
            kept: why the old model is kept, or None.
            accepted: updates that counted.
            late: updates that came too late.
            dropped: what did not count.
            contributors: accounts with weight in the aggregate, in the order of `clients`.
            reveal: the beacon's value.
            candidates: what the miners voted on.
        """
        task = self.opened
        server_round = task.current_round + 1
        cid = task.current_cid if model is None else self.store.put(to_safetensors(model))
        on_ledger = self._contract.submissions(task.id, server_round)
        names = {update.client for update in accepted} | {entry.client for entry in dropped}
        abandoned = [
            Dropped(
                reason="abandoned",
                detail="submitted before the aggregator restarted, no usable reply since",
                client=client,
            )
            for client in sorted(set(on_ledger) - names)
        ]
        evidence = Evidence(
            task=task.id,
            round=server_round,
            base=task.current_cid,
            aggregate=cid,
            accepted=[
                Accepted(
                    client=update.client,
                    cid=update.cid,
                    transaction=_transaction(update, on_ledger[update.client]),
                    arrival=update.arrival,
                )
                for update in accepted
            ],
            late=[Late(client=update.client, arrival=update.arrival) for update in late],
            dropped=[*dropped, *abandoned],
            rule=rule if kept is None else KEPT,
            kept=kept[:400] if kept else None,
            contributors=list(contributors),
            reveal=reveal.hex() if reveal else None,
            candidates=list(candidates),
        )
        self._contract.publish_aggregate(
            self.account,
            task=task.id,
            round=server_round,
            cid=cid,
            rule=evidence.rule,
            contributors=contributors,
            evidence=documents.save(evidence, self.store),
        )
        self._pay(task.id, server_round, contributors)
        self.task = self._contract.task(task.id)

    def votes(
        self, server_round: int, ballot: bytes, candidates: int
    ) -> dict[int, tuple[int, ...]]:
        """Return the registered miners' scores for a ballot as the ledger has them now."""
        return counted_votes(
            self._contract, self.opened.id, server_round, ballot, candidates, self.clients
        )

    # Inside --------------------------------------------------------------------------------

    def _cap(self, layout: Layout) -> int:
        """Largest update that can be right: the values and room for names and framing."""
        values = max(layout.nbytes, layout.as_float32().nbytes)
        return values + sum(_FRAMING + len(key) for key in layout.keys) + _FRAMING

    def bind(self, node: int, client: str, good: Mapping[str, object]) -> None:
        """Tie a node to the account it signs with.

        Raises:
            UpdateRejected: the account is in `good` already, or the node used another before.
        """
        if client in good:
            raise UpdateRejected("duplicate", f"{client} already answered in this round")
        if self._nodes.setdefault(node, client) != client:
            raise UpdateRejected("signature", f"the node signed as {self._nodes[node]} before")

    def past_votes(self) -> Iterator[dict[int, tuple[int, ...]]]:
        """Return the votes of every election of this task that is on the ledger, in order."""
        return past_votes(self._contract, self.store, self.opened.id, self.clients)

    def drop(self, node: int, reason: str, detail: str) -> Dropped:
        """Return a dropped reply of a node, with its account where that is known."""
        return Dropped(
            reason=reason, detail=detail[:400], client=self._nodes.get(node), node=str(node)
        )

    def _pay(self, task: int, server_round: int, clients: Sequence[str]) -> None:
        for batch in payment_batches(clients):
            self._contract.pay_rewards(self.account, task=task, round=server_round, clients=batch)

    def _pay_open_rewards(self, task: Task) -> None:
        """Pay what a killed run left unpaid."""
        for server_round, clients in unpaid(self._contract, task.id):
            self._pay(task.id, server_round, clients)

    def _refuse_other(self, task: Task, spec: str, model: str, rounds: int) -> None:
        given = {"specification": spec, "initial model": model, "rounds": rounds}
        found = {"specification": task.spec, "initial model": task.model_cid, "rounds": task.rounds}
        different = [name for name, value in given.items() if found[name] != value]
        if different:
            raise ConfigError(
                f"task {task.id} ({self.model_id}) is on the ledger with another "
                f"{' and '.join(different)}: continue it with the same settings, "
                "or choose another model_id"
            )


def unpaid(contract: TrainingTask, task: int) -> Iterator[tuple[int, list[str]]]:
    """Yield each published round of a task that owes rewards, with who is owed."""
    paid = {(payment.round, payment.client) for payment in contract.payments(task)}
    for published in contract.aggregates(task):
        owed = [c for c in published.contributors if (published.round, c) not in paid]
        if owed:
            yield published.round, owed


def payment_batches(clients: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield `clients` in parts that one call pays."""
    for start in range(0, len(clients), PAYMENT_BATCH):
        yield clients[start : start + PAYMENT_BATCH]


def _transaction(update: CheckedUpdate, found: Submission) -> str:
    """Return the transaction with an update: the ledger's, or its own if the client replaced it."""
    return found.transaction if found.cid == update.cid else update.transaction.hash


def counted_votes(  # noqa: PLR0917 - what a vote is counted by, in that order
    contract: TrainingTask,
    task: int,
    server_round: int,
    ballot: bytes,
    candidates: int,
    clients: Sequence[str],
) -> dict[int, tuple[int, ...]]:
    """Return the votes that count: the last of each registered miner, by its place in `clients`.

    Args:
        contract: the contract on its ledger.
        task: the task's id.
        server_round: the round, from 1.
        ballot: what was voted on.
        candidates: number of scores a vote must have.
        clients: registered accounts.
    """
    last = {
        vote.miner: vote.scores
        for vote in contract.votes(task, server_round)
        if vote.ballot == ballot and len(vote.scores) == candidates
    }
    return {place: last[client] for place, client in enumerate(clients) if client in last}


def past_votes(
    contract: TrainingTask,
    store: Store,
    task: int,
    clients: Sequence[str],
    until: int | None = None,
) -> Iterator[dict[int, tuple[int, ...]]]:
    """Return the votes of a task's elections, in the order of their rounds.

    Args:
        contract: the contract on its ledger.
        store: where the evidence is.
        task: the task's id.
        clients: registered accounts.
        until: the first round that is left out (default: none).
    """
    for aggregate in contract.aggregates(task):
        if until is not None and aggregate.round >= until:
            return
        evidence = documents.load(Evidence, aggregate.evidence, store)
        cids = [candidate.cid for candidate in evidence.candidates]
        if cids:
            ballot = ballot_of(task, aggregate.round, evidence.base, cids)
            yield counted_votes(contract, task, aggregate.round, ballot, len(cids), clients)
