"""The adversary of crafted attacks: a Flower grid between the strategy and the clients.

A round with it: every client trains. Replies of honest clients pass and are read on the way, those
of malicious clients are held back: they are the models before the attack. When all are there that
the attack wants to see, it crafts one model for each malicious client, and each of these clients
gets the training message once more, with the order to upload its model (`collusion`). It signs and
answers; the strategy sees that as the reply to the message it sent. Neither the strategy nor the
honest clients can tell, but by the time it takes: what the exchange costs colluders in a simulation
is a setting of the clock (`SimulatedLatency.extra`; `latency.exchange` of an experiment).
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedledger.errors import ConfigError, RunError
from fedledger.grids import WrappedGrid
from fedledger.records import without_request

from .attacks import ModelAttack
from .collusion import PARTITION
from .conspiracy import Conspiracy

__all__ = ["AdversaryGrid"]

logger = logging.getLogger(__name__)

_KEPT = 4


class AdversaryGrid(WrappedGrid):
    """Passes everything on, and lets malicious clients upload what an attack crafts.

    Training messages that are pushed in one call are a round. Which node is which client is asked
    of the clients themselves, once (`collusion.report_partition`); a client that does not answer
    counts as honest. What is drawn depends on the seed and the round alone, so any engine gives the
    same models, and so does a run that was resumed. Replies can be pulled until four further rounds
    have begun.

    A malicious client that fails to train, or whose reply is no model, takes no part: its reply is
    passed on. Honest replies that are no finite model of the right form are not looked at, as no
    strategy would.

    Args:
        grid: the engine's grid.
        attack: what the malicious clients do.
        malicious: their partitions.
        seed: seed of the attack's random numbers.
        deadline: seconds after the messages were sent, when the attack is made with the replies
            that are there; a malicious client whose model comes later uploads it unchanged.
        poll: seconds between two pulls of `send_and_receive`.
        clock: monotonic seconds.
        sleep: waits for so many seconds.

    Raises:
        ConfigError: deadline or poll is not positive.
    """

    def __init__(
        self,
        grid: Grid,
        attack: ModelAttack,
        malicious: Collection[int],
        *,
        seed: int = 0,
        deadline: float = 1800.0,
        poll: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        if not deadline > 0 or not poll > 0:
            raise ConfigError(f"adversary: deadline {deadline} and poll {poll} must be positive")
        super().__init__(grid)
        self._attack = attack
        self._malicious = frozenset(malicious)
        self._seed = seed
        self._deadline = deadline
        self._poll = poll
        self._clock = clock
        self._sleep = sleep
        self._partitions: dict[int, int] = {}
        self._open: dict[str, Conspiracy] = {}  # by the ids of messages that wait for a reply
        self._recent: list[Conspiracy] = []
        self._rounds = 0
        self._uploaded: dict[int, set[int]] = {}

    def uploaded(self, number: int) -> AbstractSet[int]:
        """Return the clients (partitions) that uploaded a crafted model in a round.

        An attack that finds nothing to upload leaves a client its own model, which is none.
        """
        return self._uploaded.get(number, frozenset())

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; a training message to a malicious client without the request to sign.

        Raises:
            RunError: no client answers which partition it has.
        """
        outgoing = list(messages)
        training = [message for message in outgoing if _is_training(message)]
        if not training:
            return self._grid.push_messages(outgoing)
        self._find(message.metadata.dst_node_id for message in training)
        if not any(self._is_malicious(message) for message in training):
            return self._grid.push_messages(outgoing)
        sent = [_unsigned(m) if self._is_malicious(m) else m for m in outgoing]
        ids = list(self._grid.push_messages(sent))
        conspiracy = self._new_round()
        for message, was_sent in zip(outgoing, sent, strict=True):
            if _is_training(message) and was_sent.metadata.message_id in ids:
                node = message.metadata.dst_node_id
                conspiracy.add(
                    was_sent,
                    partition=self._partitions.get(node, -1),
                    original=message.content if self._is_malicious(message) else None,
                )
                self._open[was_sent.metadata.message_id] = conspiracy
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there; those of malicious clients once they are crafted.

        The adversary pulls the replies of a whole round when one of them is asked for.
        """
        wanted = list(message_ids)
        rounds = list(
            {id(self._open[i]): self._open[i] for i in wanted if i in self._open}.values()
        )
        plain = [message_id for message_id in wanted if message_id not in self._open]
        replies = self._pull([*plain, *(i for each in rounds for i in each.outstanding())], rounds)
        for each in rounds:
            orders = each.orders()
            if orders:
                each.ordered(self._grid.push_messages(list(orders)))
                self._pull(each.outstanding(), [each])
            if each.uploaded:
                self._uploaded.setdefault(each.number, set()).update(each.uploaded)
        handed: list[tuple[int, Message]] = []
        for message_id in wanted:
            conspiracy = self._open.get(message_id)
            if conspiracy is not None and message_id in conspiracy.ready:
                handed.append(conspiracy.ready.pop(message_id))
                del self._open[message_id]
        return [*replies, *(reply for _, reply in sorted(handed, key=lambda pair: pair[0]))]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and return their replies, those to training messages by partition.

        Args:
            messages: messages of one type.
            timeout: return what is there after this many seconds; looked at between two pulls.
        """
        outgoing = list(messages)
        if not any(_is_training(message) for message in outgoing):
            return self._grid.send_and_receive(outgoing, timeout=timeout)
        started = self._clock()
        waiting = [message_id for message_id in self.push_messages(outgoing) if message_id]
        replies: list[Message] = []
        while waiting:
            pulled = list(self.pull_messages(waiting))
            replies += pulled
            answered = {reply.metadata.reply_to_message_id for reply in pulled}
            waiting = [message_id for message_id in waiting if message_id not in answered]
            if timeout is not None and self._clock() - started >= timeout:
                break
            if waiting and not pulled:
                self._sleep(self._poll)
        known = self._partitions
        return sorted(replies, key=lambda reply: known.get(reply.metadata.src_node_id, -1))

    def _pull(self, message_ids: list[str], rounds: list[Conspiracy]) -> list[Message]:
        """Pull from the grid below; give the rounds what is theirs and return the rest."""
        replies = self._grid.pull_messages(message_ids) if message_ids else ()
        return [reply for reply in replies if not any(each.take(reply) for each in rounds)]

    def _new_round(self) -> Conspiracy:
        """Return a new round, and forget one that is over: nobody asks for its replies any more."""
        self._rounds += 1
        conspiracy = Conspiracy(self._attack, self._seed, self._rounds, self._deadline, self._clock)
        self._recent.append(conspiracy)
        if len(self._recent) > _KEPT:
            over = self._recent.pop(0)
            self._open = {key: each for key, each in self._open.items() if each is not over}
        return conspiracy

    def _is_malicious(self, message: Message) -> bool:
        """Return whether this is a training message to a malicious client."""
        partition = self._partitions.get(message.metadata.dst_node_id)
        return _is_training(message) and partition in self._malicious

    def _find(self, nodes: Iterable[int]) -> None:
        """Ask the nodes not known yet which partition they have."""
        unknown = [node for node in dict.fromkeys(nodes) if node not in self._partitions]
        if not unknown:
            return
        questions = [Message(RecordDict(), node, f"query.{PARTITION}") for node in unknown]
        failures = []
        for reply in self._grid.send_and_receive(questions, timeout=self._deadline):
            if reply.has_error():
                failures.append(reply.error.reason)
                continue
            answer = reply.content.config_records[PARTITION]
            self._partitions[reply.metadata.src_node_id] = int(str(answer[PARTITION]))
        missing = [node for node in unknown if node not in self._partitions]
        if missing and not self._partitions:
            raise RunError(
                "no client says which partition it has, so none can be malicious: register "
                f"report_partition as the app's query {PARTITION!r} ({failures[:1]})"
            )
        if missing:
            logger.warning("%d clients do not say which partition they have", len(missing))


def _is_training(message: Message) -> bool:
    """Return whether it asks to train: phases without a model travel in such messages too."""
    kind = message.metadata.message_type.partition(".")[0]
    return kind == "train" and bool(message.content.array_records)


def _unsigned(message: Message) -> Message:
    """Return a copy of a training message that asks for no signature: what comes back is private.

    The reply then holds the full weights, whatever form was asked for.
    """
    metadata = message.metadata
    return Message(
        without_request(message.content),
        metadata.dst_node_id,
        metadata.message_type,
        ttl=metadata.ttl,
        group_id=metadata.group_id,
    )
