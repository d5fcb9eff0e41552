"""A client's own store, where models travel by it: what messages name, and what replies leave out.

A message of a task whose transport is the store names models by CID. The client fetches them, each
hashed on the way, and puts them where the message would have had them, so that apps and handlers
notice nothing. What it answers it puts into the store first; the reply then names it by what is
signed.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flwr.app import ArrayRecord, Context, Message, RecordDict

from fedledger.arrays import record_of
from fedledger.effects import Clock, Effects
from fedledger.errors import ConfigError, ModelError
from fedledger.references import Reference, model_record, references_of, with_arrays
from fedledger.urls import mask_url

from ..ledger_plugins import Store, open_store
from ..ledger_plugins.accounts import Account
from ..ledger_plugins.storage.patience import patiently
from .identity import account_of, told

__all__ = [
    "MOST",
    "SECONDS",
    "STORE_VARIABLE",
    "OwnStore",
    "emptied",
    "fetched",
    "own_store_of",
    "simulated_store",
    "url_of",
]

STORE_VARIABLE = "FEDLEDGER_STORE"
"""Environment variable for what the node config does not say: a URL may carry secrets."""

_SIMULATED = "simulation-store"

MOST = 2 * 1024**3
"""Bytes of a model that a client fetches, where its node config does not say `max-model-bytes`."""

SECONDS = 120.0
"""How long a client tries for all of a message, where it does not say `content-seconds`."""


@dataclass(frozen=True, slots=True)
class OwnStore:
    """A client's store, by its URL; it is opened when a message needs it.

    Attributes:
        url: the URL; "": the client has none.
        most: bytes of one model at most.
        seconds: how long it is tried, in a phase each way.
        time: passes between tries.
        account: opens the client's account, for a store whose changes are signed.
    """

    url: str = field(repr=False)
    most: int
    seconds: float
    time: Clock
    account: Callable[[], Account] = field(repr=False)

    def fetch(self, wanted: Mapping[str, Reference]) -> dict[str, ArrayRecord]:
        """Return by its record's name what a message refers to.

        Raises:
            ConfigError: the client has no store, or a content is larger than it takes.
            StoreError: a content does not come in time, or is damaged.
            ModelError: a content is no model.
        """
        for name, one in wanted.items():
            if one.size > self.most:
                raise ConfigError(
                    f"the server names a content of {one.size} bytes for {name!r}, above the "
                    f"{self.most} that this client fetches (max-model-bytes in its node config)"
                )
        known: dict[str, ArrayRecord] = {}
        end = self.time.monotonic() + self.seconds
        with self._opened(end) as store:
            for one in wanted.values():
                if one.cid in known:
                    continue
                get = partial(_get, store, one)
                data = patiently(get, self.time, end - self.time.monotonic())
                try:
                    known[one.cid] = record_of(data)
                except ModelError as error:
                    raise ModelError(f"what the server names, {one.cid}: {error}") from error
        return {name: known[one.cid] for name, one in wanted.items()}

    def put(self, content: bytes, cid: str) -> None:
        """Put what is answered into the store, before the reply that only names it.

        Raises:
            ConfigError: the client has no store, or one that addresses contents in another way.
            StoreError: it does not take it in time.
        """
        end = self.time.monotonic() + self.seconds
        with self._opened(end) as store:
            put = partial(_put, store, content)
            found = patiently(put, self.time, end - self.time.monotonic())
        if found != cid:
            raise ConfigError(
                f"{mask_url(self.url)} has what the client answers as {found}, signed is {cid}: "
                f"give this client a store of the task's profile, not {store.profile!r}"
            )

    @contextmanager
    def _opened(self, end: float) -> Iterator[Store]:
        if not self.url:
            raise ConfigError(
                'models of this task travel by the store (transport="store"): set store=URL in the '
                f"node config of this client, or {STORE_VARIABLE} in its environment"
            )
        opened = patiently(
            lambda _: open_store(self.url, account=self.account),
            self.time,
            end - self.time.monotonic(),
        )
        with opened as store:
            yield store


def own_store_of(message: Message, context: Context, effects: Effects) -> OwnStore:
    """Return a client's store, as its node config or its environment says.

    A simulation's client may be told by `simulation-store` in the run config or in the message's
    config; a client with a keystore never looks there.

    Raises:
        ConfigError: a number of the node config is none.
    """
    config = context.node_config
    url = url_of(context, "store", STORE_VARIABLE)
    if not url and config.get("account") is None:
        url = str(told(message, context, _SIMULATED) or "")
    try:
        most = int(config.get("max-model-bytes", MOST))
        seconds = float(config.get("content-seconds", SECONDS))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"node config: max-model-bytes and content-seconds: {error}") from error
    if most <= 0 or not 0 < seconds < 1e9:
        raise ConfigError("node config: max-model-bytes and content-seconds have to be positive")
    account = partial(account_of, message, context, effects.disk)
    return OwnStore(url, most, seconds, effects.clock, account)


def simulated_store(store: Store) -> dict[str, str]:
    """Return what the config of a simulation's messages says so that its clients use this store.

    That is nothing where its URL holds a secret, which logs and messages would show: such a URL
    belongs into the environment of whoever runs the clients.
    """
    return {_SIMULATED: store.url} if mask_url(store.url) == store.url else {}


def url_of(context: Context, name: str, variable: str) -> str:
    """Return a URL of the node config, or of the environment; "" where neither says it."""
    return str(context.node_config.get(name) or os.environ.get(variable) or "")


def fetched(content: RecordDict, own: OwnStore | None) -> RecordDict:
    """Return a message's content with what it refers to in place.

    Raises:
        FedledgerError: as of `OwnStore.fetch`, or the references are none.
    """
    wanted = references_of(content)
    if not wanted:
        return content
    if own is None:
        raise ConfigError("this client takes no messages that name contents of a store")
    return with_arrays(content, own.fetch(wanted))


def emptied(reply: RecordDict, asked: RecordDict) -> RecordDict:
    """Return a reply's records without the arrays that its phase reads: the store has them.

    Raises:
        ModelError: there is no such record.
    """
    name = model_record(reply, asked)
    if name is None:
        raise ModelError(f"the reply has {sorted(reply.array_records)}: which one is the model?")
    records: dict[str, Any] = {**reply, name: ArrayRecord()}
    return RecordDict(records)


def _get(store: Store, wanted: Reference, seconds: float) -> bytes:
    return store.get(wanted.cid, max_bytes=wanted.size, timeout=seconds)


def _put(store: Store, content: bytes, seconds: float) -> str:
    return store.put(content, timeout=seconds)
