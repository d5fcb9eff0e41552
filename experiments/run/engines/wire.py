"""What the engines need of Flower's private modules, all in one place.

Flower has no public way to make a `Message` outside a run of its own, nor to serialise one. Each
use below names the reason; with a new version of Flower this file is the one to check.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from flwr.app import Error, Message, Metadata, RecordDict
from flwr.supercore.inflatable.inflatable_object import (
    InflatableObject,
    get_all_nested_objects,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.logger import FLOWER_LOGGER, console_handler
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from fedledger.guards import text_of

__all__ = [
    "CLIENT_CRASHED",
    "CLIENT_RAISED",
    "MESSAGE_UNAVAILABLE",
    "SERVER_NODE",
    "Run",
    "error_reply",
    "over_the_wire",
    "pack",
    "quiet_flower",
    "raised",
    "set_id",
    "task_identity",
    "unavailable",
    "unpack_message",
]

SERVER_NODE = 1
"""Node id of the SuperLink: the sender of instructions and of its own error replies."""

CLIENT_RAISED = 2
MESSAGE_UNAVAILABLE = 3
CLIENT_CRASHED = 8
"""Flower's error codes: the ClientApp raised, no such message, the ClientApp's process died."""

_IDENTITY = ("_task_id", "_run_id", "_node_id")

I = TypeVar("I", Message, RecordDict)  # noqa: E741 - the two kinds of object that are sent


@contextmanager
def task_identity(run_id: int) -> Iterator[None]:
    """Let this process make messages as the ServerApp of run `run_id`; undone at the end.

    `Message(...)` reads run, node and task from `TaskIdentity`, a class with process-wide values
    that Flower sets in the processes it starts itself.
    """
    before = {name: getattr(TaskIdentity, name) for name in _IDENTITY}
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run_id, SERVER_NODE, 1
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(TaskIdentity, name, value)


def pack(thing: Message | RecordDict, contents: dict[str, bytes]) -> str:
    """Serialise as deployment does: objects by the hash of their bytes, added to `contents`.

    What several messages share (the global model) is kept once. A message's own id is not part of
    its bytes.

    Returns:
        The object id, for `unpack_message`.

    Raises:
        ValueError: a value that Flower cannot send, such as an integer of more than 64 bits.
    """
    with no_object_id_recompute():
        for object_id, part in get_all_nested_objects(cast("InflatableObject", thing)).items():
            if object_id not in contents:
                contents[object_id] = part.deflate()
        return cast("InflatableObject", thing).object_id


def unpack_message(object_id: str, contents: dict[str, bytes]) -> Message:
    """Return a fresh message from what `pack` wrote; it has no id yet."""
    thing = inflate_object_from_contents(object_id, contents, keep_object_contents=True)
    return cast("Message", thing)


def over_the_wire(thing: I) -> I:
    """Return `thing` as the other side receives it: a copy from its bytes.

    Raises:
        ValueError: a value that Flower cannot send.
    """
    contents: dict[str, bytes] = {}
    object_id = pack(thing, contents)
    return cast("I", inflate_object_from_contents(object_id, contents))


def set_id(message: Message, message_id: str) -> Message:
    """Give a message its id, which only Flower's own grids do (`Metadata` has no setter)."""
    message.metadata.__dict__["_message_id"] = message_id
    return message


def error_reply(message: Message, code: int, reason: str) -> Message:
    """Return the error reply to `message`, as the client's node sends it."""
    return Message(Error(code, reason), reply_to=message)


def raised(error: BaseException) -> str:
    """Return what a client raised as Flower words it."""
    return f"{type(error)}:<'{text_of(error)}'>"


def unavailable(message_id: str, run_id: int) -> Message:
    """Return the error that the SuperLink sends for an id it does not know (any more)."""
    metadata = Metadata(
        run_id=run_id,
        message_id="",
        src_node_id=SERVER_NODE,
        dst_node_id=SERVER_NODE,
        reply_to_message_id=message_id,
        group_id="",
        created_at=0.0,
        ttl=0.0,
        message_type="system",
    )
    error = Error(MESSAGE_UNAVAILABLE, "no such message, or its reply was pulled before")
    # `metadata` is an argument for Flower's own use, without which a reply to no message cannot be.
    return Message(metadata=metadata, error=error)  # type: ignore[call-overload,no-any-return]


@contextmanager
def quiet_flower(*, quiet: bool) -> Iterator[None]:
    """Keep Flower's log off the console while inside; a log set up by the user still gets it.

    Flower's logger has a console handler of its own. The warning that `run_simulation` is
    deprecated is dropped: its replacement is the `flwr run` command, and an experiment needs a
    result and an exception back, which only the function gives.
    """
    level = console_handler.level
    FLOWER_LOGGER.addFilter(_not_deprecation)
    if quiet:
        console_handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        FLOWER_LOGGER.removeFilter(_not_deprecation)
        console_handler.setLevel(level)


def _not_deprecation(record: logging.LogRecord) -> bool:
    return "`run_simulation` function is deprecated" not in record.getMessage()
