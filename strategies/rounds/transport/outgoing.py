"""A grid whose messages name models by CID: their clients fetch them from a store of their own."""

import logging
from collections.abc import Iterable

from flwr.app import ArrayRecord, Message
from flwr.serverapp import Grid

from fedledger.arrays import read_record, to_safetensors
from fedledger.errors import ModelError, StoreError
from fedledger.grids import WrappedGrid
from fedledger.references import Reference, with_references

from ....ledger_plugins.storage.base import Store
from ....ledger_plugins.storage.cid import cid_of, profile_named

__all__ = ["ReferringGrid"]

logger = logging.getLogger(__name__)


class ReferringGrid(WrappedGrid):
    """Sends references in place of the arrays that the store has; what it has not goes as it is.

    The models of rounds and the candidates of elections are in the store before anybody is asked
    about them. Whatever else a strategy sends stays between it and the client: nothing is published
    for the sake of transport.

    Args:
        grid: the grid below.
        store: has what messages name.
    """

    def __init__(self, grid: Grid, store: Store) -> None:
        super().__init__(grid)
        self._store = store

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; those that were given stay as they are, but for their ids."""
        given = list(messages)
        return self._grid.push_messages(self._referring(given))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and wait for replies, as the grid below."""
        return self._grid.send_and_receive(self._referring(list(messages)), timeout=timeout)

    def _referring(self, messages: list[Message]) -> list[Message]:
        known: dict[int, Reference | None] = {}  # messages share their records
        return [self._refer(message, known) for message in messages]

    def _refer(self, message: Message, known: dict[int, Reference | None]) -> Message:
        found: dict[str, Reference] = {}
        for name, record in message.content.array_records.items():
            if id(record) not in known:
                known[id(record)] = self._reference(record)
            if (reference := known[id(record)]) is not None:
                found[name] = reference
        if not found:
            return message
        metadata = message.metadata
        return Message(
            with_references(message.content, found),
            metadata.dst_node_id,
            metadata.message_type,
            ttl=metadata.ttl,
            group_id=metadata.group_id,
        )

    def _reference(self, record: ArrayRecord) -> Reference | None:
        """Return what names a record's arrays, or None where the store does not have them."""
        try:
            data = to_safetensors(read_record(record))
        except ModelError:
            return None  # no model, or none of the kinds that are stored
        cid = cid_of(data, profile_named(self._store.profile))
        try:
            return Reference(cid, len(data)) if self._store.has(cid) else None
        except StoreError as error:
            logger.warning("%s goes with the message, since the store fails: %s", cid, error)
            return None
