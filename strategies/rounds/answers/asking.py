"""How a round's phases reach Flower's nodes, and what of their replies is taken."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from fedledger import effects
from fedledger.errors import StoreError, UpdateRejected
from fedledger.records import CONFIG, SigningRequest

from ....ledger_plugins.base import Block, Ledger
from ....ledger_plugins.contracts.identities.nodes import fingerprint
from ....ledger_plugins.storage.base import Store
from ..arrival import ArrivalWindow, Clock, Exchange, exchange
from ..evidence.documents import Dropped
from ..evidence.reasons import NOT_ASKED, SILENT, UNAVAILABLE, UNHEARD
from ..phase import Phase, ProvablyWrong, malformed
from ..protocol import Protocol
from ..round import Round
from ..transport.fetching import Contents, Fetching
from .faults import anchors_of, fault_of
from .history import REASON, History, Pins
from .replies import (
    Arrived,
    Checked,
    Unplaced,
    check_arrival,
    fill,
    find_call,
    named_content,
    read_reply,
    signing_request,
    unavailable,
)

__all__ = ["Asking", "Heard", "Sent", "Way"]

T = TypeVar("T")

LAG = 10.0
"""Seconds in which calls appear on this ledger that clients have named, all of a phase together."""


@dataclass
class Way:
    """How a round reaches its parties; the same for all rounds of a run.

    Attributes:
        grid: Flower's grid.
        ledger: the ledger.
        store: the store.
        clock: says when a reply arrived.
        time: passes while replies are waited for.
        timeout: seconds after which no phase waits.
        pins: what clients are told about the ledger's history.
        first: a block before anything was signed for the task.
        nodes: node id to the account it signs with, once it has answered.
        contents: where contents come from that replies only name; None: they come with the replies.
        missed: account to how often in a row its content did not come.
    """

    grid: Grid
    ledger: Ledger
    store: Store
    clock: Clock
    time: effects.Clock
    timeout: float
    pins: Pins
    first: int
    nodes: dict[int, str] = field(default_factory=dict)
    contents: Contents | None = None
    missed: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Sent:
    """What a round's phases are asked with.

    Attributes:
        protocol: the protocol that runs.
        way: how the parties are reached.
        messages: the messages of the first phase, as a Flower strategy made them; their nodes are
            asked in every phase.
        config: the config that further phases' messages carry.
    """

    protocol: Protocol[Any, Any]
    way: Way
    messages: Sequence[Message]
    config: ConfigRecord


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a phase's messages.

    Attributes:
        exchange: who was asked, who replied, and how long it took.
        dropped: the replies that are unusable.
        faulty: the contents that faults among them name.
    """

    exchange: Exchange
    dropped: list[Dropped]
    faulty: list[bytes]


class Asking:
    """Asks the nodes of a round, one phase after the other.

    Args:
        round: the round.
        sent: what they are asked with.
        opened: the block in which the round opened.
    """

    def __init__(self, round: Round, sent: Sent, opened: int) -> None:
        way = sent.way
        self.history = History(way.ledger, opened)
        self.round = round
        self._protocol = sent.protocol
        self.way = way
        self._messages = list(sent.messages)
        self._work: str | None = None  # the phase that the strategy's messages are for
        self._asked = [message.metadata.dst_node_id for message in sent.messages]
        self._config = sent.config
        self.opened = opened
        self._settled: Block | None = None
        known = {account for party in round.terms.parties.values() for account in party}
        for node in [node for node, account in way.nodes.items() if account not in known]:
            del way.nodes[node]  # its account left, or another has its place

    def hear(
        self,
        phase: Phase[T],
        subject: Any,
        good: dict[str, Checked[T]],
        *,
        window: ArrivalWindow | None,
        timeout: float,
        settle: Callable[[], None] = lambda: None,
        late_contents: bool = True,
    ) -> Heard:
        """Send a phase's messages and take the good replies; an unusable one counts for no quorum.

        Once every party has answered, nodes of strangers are not waited for. Contents that replies
        only name are fetched meanwhile; a reply arrives when it is there, and is good once its
        content is.

        Args:
            phase: the phase.
            subject: what it is about.
            good: takes what is good, by account.
            window: closes the phase.
            timeout: seconds after which nothing is waited for.
            settle: called after each look at the replies that had some.
            late_contents: whether contents may come after the phase, for a while (`Contents`); else
                until the timeout.
        """
        began = self.way.time.monotonic()
        if self._work is None and not phase.apart:
            self._work = phase.name
        request = self._request(phase, subject)
        whom = self._outgoing(phase, subject) if request.clients else []
        outgoing = [self._addressed(message, request) for message in whom]
        asked_of = None if self.begins(phase) else phase.whom(self.round, subject)
        wanted = set(self.round.positions(phase.by) if asked_of is None else asked_of)
        replies = _Replies(self, phase, subject, request, good)
        heard = exchange(
            self.way.grid,
            outgoing,
            window=window,
            timeout=timeout,
            accept=replies.accept,
            complete=lambda: good.keys() >= wanted,
            time=self.way.time,
            settle=settle,
            turn=replies.turn,
            further=replies.further,
        )
        replies.take_late()
        settle()
        replies.finish(None if late_contents else began + timeout, settle)
        lasted = round(1000 * (self.way.time.monotonic() - began))
        heard = replace(heard, milliseconds=lasted)
        return Heard(heard, replies.unusable(), list(replies.faulty.values()))

    def begins(self, phase: Phase[Any]) -> bool:
        """Tell whether the messages of the strategy inside are for this phase."""
        return phase.name == self._work

    def silent(self, heard: Heard) -> list[Dropped]:
        """Return what became of the nodes that did not reply."""
        asked, answered = heard.exchange.asked, heard.exchange.answered
        silent = [node for node in asked if node not in answered]
        return [self.drop(node, SILENT, "nothing arrived in time") for node in silent]

    def absent(
        self, phase: Phase[Any], asked: Sequence[int], said: Collection[str | None]
    ) -> list[Dropped]:
        """Return what became of the accounts of which nothing else is said."""
        known = self.way.nodes
        strange = sum(node not in known for node in asked)
        reached = {known[node] for node in asked if node in known}
        found = []
        for party in self.round.terms.parties[phase.by]:
            if party in said:
                continue
            if party in reached:
                found.append(Dropped(reason=SILENT, detail="nothing usable arrived", party=party))
            elif strange and party not in known.values():
                detail = f"{strange} nodes were asked that have never said whose they are"
                found.append(Dropped(reason=UNHEARD, detail=detail, party=party))
            else:
                found.append(Dropped(reason=NOT_ASKED, detail="no message went to it", party=party))
        return found

    # Inside --------------------------------------------------------------------------------

    def _outgoing(self, phase: Phase[Any], subject: Any) -> list[Message]:
        """Return the messages: of the first phase of work, Flower's strategy made them."""
        if self.begins(phase):
            return self._messages
        whom = phase.whom(self.round, subject)
        known = set(self.round.terms.parties[phase.by] if whom is None else whom)
        # Nodes that have never said whose they are: an account that one answered for may be another
        # one's, since whoever has a client's content can name its call.
        known.add("")
        nodes = [n for n in dict.fromkeys(self._asked) if self.way.nodes.get(n, "") in known]
        records = {**phase.pose(self.round, subject), CONFIG: self._config}
        return [
            Message(RecordDict(records), dst_node_id=node, message_type=phase.kind)
            for node in nodes
        ]

    def _request(self, phase: Phase[Any], subject: Any) -> SigningRequest:
        ledger = self.way.ledger
        self._settled = ledger.settled() if any(one.pins for one in phase.calls) else None
        clients = list(self.round.terms.positions(phase.by))
        request = signing_request(
            self.round,
            self._protocol.name,
            phase,
            subject,
            ledger,
            clients,
            self._settled,
            by_reference=self.way.contents is not None,
        )
        terms = self.round.terms
        if not terms.binding:
            return request
        keys = (terms.node_keys.get(client) for client in clients)
        return replace(request, node_keys=[fingerprint(key) if key else b"" for key in keys])

    def _addressed(self, message: Message, request: SigningRequest) -> Message:
        """Add what the client needs to sign offline; of a known node, for its account alone."""
        known = self.way.nodes.get(message.metadata.dst_node_id)
        if known is not None and known in request.clients:
            at = list(request.clients).index(known)
            nonces, keys = request.nonces[at : at + 1], request.node_keys[at : at + 1]
            request = replace(request, clients=[known], nonces=nonces, node_keys=keys)
        if self._settled is not None:
            way = self.way
            form, headers = way.pins.headers(self._settled, request.clients, way.first)
            request = replace(request, header_form=form, headers=headers)
        # Flower lets messages share one RecordDict: give each its own.
        message.content = request.added_to(message.content)
        return message

    def note_named(self, party: str) -> None:
        """Note the block that a party was asked to name: its journal has it, whatever it named."""
        if self._settled is not None:
            self.way.pins.note(party, self._settled.index)

    def bind(self, node: int, party: str, good: Mapping[str, object]) -> None:
        """Tie a node to the account it signs with; if several are, all of them are asked."""
        if self.way.nodes.setdefault(node, party) != party:
            raise UpdateRejected("signature", f"the node signed as {self.way.nodes[node]} before")
        if party in good:
            raise UpdateRejected("duplicate", f"{party} already answered this phase")

    def drop(self, node: int, reason: str, detail: str, party: str | None = None) -> Dropped:
        """Return that a reply did not count; of a node that is known, whose it was."""
        return Dropped(
            reason=reason,
            detail=detail,
            party=party or self.way.nodes.get(node),
            node=str(node),
        )


class _Replies(Generic[T]):
    """What comes of a phase's messages, reply by reply.

    Args:
        asking: who asks.
        phase: the phase.
        subject: what it is about.
        request: what was asked.
        good: takes what is good, by account.
    """

    def __init__(
        self,
        asking: Asking,
        phase: Phase[T],
        subject: Any,
        request: SigningRequest,
        good: dict[str, Checked[T]],
    ) -> None:
        self.dropped: list[Dropped] = []
        self.faulty: dict[str, bytes] = {}
        """Of accounts the content of their one answer that is provably wrong."""
        self.further: list[int] = []
        """Of replies whose contents came later: the milliseconds until they were pulled."""
        self._asking, self._round, self._way = asking, asking.round, asking.way
        self._phase, self._subject, self._request = phase, subject, request
        self._good = good
        self._placed = partial(find_call, self._way.ledger, since=asking.opened)
        self._early: list[tuple[Message, Message, int]] = []
        self._fetching: Fetching | None = None
        if self._way.contents is not None and request.by_reference:
            self._fetching = Fetching(self._way.contents, phase.max_bytes(self._round))

    def accept(self, message: Message, asked: Message, stamp: int) -> bool:
        """Take a reply; tell whether it is an answer already."""
        kept = RecordDict({**message.content}) if message.has_content() else None
        try:
            return self._take(message, asked, stamp)
        except Unplaced:
            assert kept is not None  # noqa: S101 - it named a call
            message.content = kept  # what was signed was taken out of it
            self._early.append((message, asked, stamp))
        except UpdateRejected as error:
            self._refuse(asked, error)
        return False

    def turn(self) -> bool:
        """Take the contents that came; tell whether any did."""
        return self._fetching is not None and self._fetching.turn()

    def take_late(self) -> None:
        """Take the replies whose calls this ledger shows later than their clients' own ledgers."""
        time = self._way.time
        end, waiting = time.monotonic() + LAG, self._early
        while waiting:
            left, over = [], time.monotonic() >= end
            for message, asked, stamp in waiting:
                kept = RecordDict({**message.content})
                try:
                    self._take(message, asked, stamp)
                except Unplaced as error:
                    message.content = kept
                    if over:
                        self._refuse(asked, error)
                    else:
                        left.append((message, asked, stamp))
                except UpdateRejected as error:
                    self._refuse(asked, error)
            waiting = left
            if waiting:
                self.turn()
                time.sleep(0.5)

    def finish(self, end: float | None, settle: Callable[[], None]) -> None:
        """Wait for the contents that replies only named.

        Args:
            end: until then, as the clock's `monotonic`; None: for as long as the task gives them.
            settle: called when one came.
        """
        contents = self._way.contents
        if self._fetching is None or contents is None:
            return
        left = contents.seconds if end is None else end - self._way.time.monotonic()
        self._fetching.finish(left, settle)

    def unusable(self) -> list[Dropped]:
        """Return what was dropped; of a party that counts it does not matter what else it lost."""
        return [
            one for one in self.dropped if one.reason != UNAVAILABLE or one.party not in self._good
        ]

    # Inside --------------------------------------------------------------------------------

    def _take(self, message: Message, asked: Message, stamp: int) -> bool:
        with malformed(f"the reply of node {asked.metadata.dst_node_id}", self._round):
            arrived = check_arrival(
                message,
                self._phase,
                self._round,
                self._request,
                self._asking.history,
                self._placed,
            )
            cid = None if self._fetching is None else named_content(arrived, asked.content)
        if self._fetching is None or cid is None:
            self._read(arrived, asked, stamp)
            return True
        came = partial(self._came, arrived, asked, stamp)
        lost, missed = partial(self._lost, arrived, asked), self._way.missed[arrived.party]
        self._fetching.want(cid, came, lost, missed=missed)
        return False

    def _came(self, arrived: Arrived, asked: Message, stamp: int, data: bytes) -> None:
        del self._way.missed[arrived.party]
        try:
            with malformed(f"the content of {arrived.party}", self._round):
                fill(arrived, asked.content, self._phase, self._round, data)
            self._read(arrived, asked, stamp)
        except UpdateRejected as error:
            self._refuse(asked, error)
        else:
            self.further.append(stamp)

    def _lost(self, arrived: Arrived, asked: Message, error: StoreError) -> None:
        # Others may name its call; and by the ledger's clock nobody waits for contents.
        if arrived.party not in self._good and not self._round.terms.ledger_clock:
            self._way.missed[arrived.party] += 1
        self._refuse(asked, unavailable(arrived, error))

    def _read(self, arrived: Arrived, asked: Message, stamp: int) -> None:
        node = asked.metadata.dst_node_id
        with malformed(f"the reply of node {node}", self._round):
            try:
                checked = read_reply(
                    arrived, asked.content, self._phase, self._subject, self._round
                )
            except ProvablyWrong as error:
                error.anchors = anchors_of(arrived, self._phase)
                raise
            self._asking.bind(node, checked.answer.party, self._good)
        answer = checked.answer
        self._asking.note_named(answer.party)
        first = self._asking.begins(self._phase)
        number, position = self._round.number, answer.position
        arrival = self._way.clock.arrival(number, position, stamp, first=first)
        self._good[answer.party] = replace(checked, answer=replace(answer, arrival=arrival))

    def _refuse(self, asked: Message, error: UpdateRejected) -> None:
        if error.reason == REASON and error.party:
            self._asking.note_named(error.party)
        node, party = asked.metadata.dst_node_id, error.party
        dropped = self._asking.drop(node, error.reason, error.detail, party)
        if isinstance(error, ProvablyWrong) and party is not None and party not in self.faulty:
            fault = fault_of(error, self._round)
            if fault is not None:
                self.faulty[party] = error.given.content.data
                dropped = dropped.model_copy(update={"fault": fault})
        self.dropped.append(dropped)
