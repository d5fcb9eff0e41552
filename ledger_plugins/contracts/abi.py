"""The contracts' ABIs: calls, results, events and errors to bytes and back.

One JSON artifact a contract, built from its Solidity interface, is the source for the embedded
chain and for an EVM alike. Encoding checks every argument before anything is sent (clause L10);
decoding accepts only the bytes that encoding makes (Solidity ABI specification, strict mode).

Values: integers are int, `address` a checksummed str, `bytes` and `bytesN` bytes, arrays tuples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.abi import encode

from fedledger.errors import CallError

from .decoding import decode
from .interface import Item, Parameter, contract_names, find, find_hash, load_abi, names
from .values import normalise

__all__ = [
    "Parameter",
    "contract_names",
    "decode_call",
    "decode_error",
    "decode_event",
    "decode_result",
    "encode_call",
    "encode_error",
    "encode_event",
    "encode_result",
    "error_inputs",
    "event_inputs",
    "event_topic",
    "event_topics",
    "function_inputs",
    "function_outputs",
    "is_view",
    "load_abi",
    "names",
]


def function_inputs(contract: str, function: str) -> tuple[Parameter, ...]:
    """Return a function's arguments in order; CallError when it is unknown."""
    return find(contract, "function", function).inputs


def function_outputs(contract: str, function: str) -> tuple[Parameter, ...]:
    """Return a function's results in order; CallError when it is unknown."""
    return find(contract, "function", function).outputs


def event_inputs(contract: str, event: str) -> tuple[Parameter, ...]:
    """Return an event's arguments in order; CallError when it is unknown."""
    return find(contract, "event", event).inputs


def error_inputs(contract: str, error: str) -> tuple[Parameter, ...]:
    """Return the arguments of an error, Panic and Error included; CallError when it is unknown."""
    return find(contract, "error", error).inputs


def is_view(contract: str, function: str) -> bool:
    """Tell whether a function only reads; CallError when it is unknown."""
    return find(contract, "function", function).view


def encode_call(contract: str, function: str, *args: Any) -> bytes:
    """Return the data of a call: 4 bytes of selector, then the arguments.

    Raises:
        CallError: unknown contract or function, or arguments of a wrong number, type or range.
    """
    item = find(contract, "function", function)
    return item.key + _encode(item, item.inputs, args)


def decode_call(contract: str, data: bytes) -> tuple[str, tuple[Any, ...]]:
    """Return the function that `data` calls and its arguments.

    Raises:
        CallError: unknown contract or selector, or bytes that `encode_call` would not make.
    """
    item = find_hash(contract, "function", data[:4])
    return item.name, _decode(item, item.inputs, data[4:])


def encode_result(contract: str, function: str, result: Any) -> bytes:
    """Return the ABI bytes of a function's result, given as `decode_result` returns it."""
    item = find(contract, "function", function)
    if len(item.outputs) == 1:
        result = (result,)
    elif result is None and not item.outputs:
        result = ()
    if not isinstance(result, tuple | list):
        raise CallError(f"{item.where}: {len(item.outputs)} results wanted, got {result!r}")
    return _encode(item, item.outputs, result)


def decode_result(contract: str, function: str, data: bytes) -> Any:
    """Return a function's result: None, one value, or a tuple where the ABI has several.

    Raises:
        CallError: unknown contract or function, or bytes that are no such result.
    """
    item = find(contract, "function", function)
    result = _decode(item, item.outputs, data)
    if len(item.outputs) > 1:
        return result
    return result[0] if result else None


def event_topic(contract: str, event: str) -> bytes:
    """Return the 32 bytes that mark an event's log: the hash of its signature."""
    return find(contract, "event", event).hash


def event_topics(
    contract: str, event: str, equal: Mapping[str, Any]
) -> list[bytes | list[bytes] | None]:
    """Return the topics of an event's logs in which indexed arguments have given values.

    Args:
        contract: the contract's name.
        event: the event's name.
        equal: values by name, or lists of which one has to be there; what is no indexed argument
            of the event is left out.

    Raises:
        CallError: unknown contract or event, or values that are not the ABI's.
    """
    item = find(contract, "event", event)
    topics: list[bytes | list[bytes] | None] = [item.hash]
    for parameter in item.inputs:
        if not parameter.indexed:
            continue
        wanted = equal.get(parameter.name)
        if isinstance(wanted, list):
            topics.append([_encode(item, (parameter,), (one,)) for one in wanted])
        else:
            found = None if wanted is None else _encode(item, (parameter,), (wanted,))
            topics.append(found)
    return topics


def encode_event(
    contract: str, event: str, arguments: Mapping[str, Any]
) -> tuple[tuple[bytes, ...], bytes]:
    """Return an event's log: its topics (32 bytes each) and data.

    Args:
        contract: the contract's name.
        event: the event's name.
        arguments: all arguments by name, in the ABI's order.

    Raises:
        CallError: unknown contract or event, or arguments that are not the ABI's.
    """
    item = find(contract, "event", event)
    values = _by_name(item, arguments)
    marks = [one.indexed for one in item.inputs]
    topics = [item.key]
    for parameter, value in zip(item.inputs, values, strict=True):
        if parameter.indexed:
            topics.append(_encode(item, (parameter,), (value,)))
    plain = tuple(value for value, indexed in zip(values, marks, strict=True) if not indexed)
    return tuple(topics), _encode(item, _plain(item), plain)


def decode_event(contract: str, topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, Any]]:
    """Return the name and arguments of the event that a log holds.

    Raises:
        CallError: unknown contract or event, or bytes that `encode_event` would not make.
    """
    item = find_hash(contract, "event", topics[0] if topics else b"")
    indexed = [one for one in item.inputs if one.indexed]
    if len(topics) != len(indexed) + 1:
        raise CallError(f"{item.where}: {len(indexed) + 1} topics wanted, got {len(topics)}")
    values = {
        one.name: _decode(item, (one,), topic)[0]
        for one, topic in zip(indexed, topics[1:], strict=True)
    }
    plain = _plain(item)
    values.update(zip((one.name for one in plain), _decode(item, plain, data), strict=True))
    return item.name, {one.name: values[one.name] for one in item.inputs}


def encode_error(contract: str, error: str, arguments: Mapping[str, Any]) -> bytes:
    """Return the revert data of an error; `arguments` by name, in the ABI's order."""
    item = find(contract, "error", error)
    return item.key + _encode(item, item.inputs, _by_name(item, arguments))


def decode_error(contract: str, data: bytes) -> tuple[str, dict[str, Any]]:
    """Return the name and arguments of the error in a call's revert data.

    Raises:
        CallError: unknown contract or error, or bytes that `encode_error` would not make.
    """
    item = find_hash(contract, "error", data[:4])
    values = _decode(item, item.inputs, data[4:])
    return item.name, dict(zip((one.name for one in item.inputs), values, strict=True))


def _plain(item: Item) -> tuple[Parameter, ...]:
    return tuple(one for one in item.inputs if not one.indexed)


def _by_name(item: Item, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
    wanted = [one.name for one in item.inputs]
    if list(arguments) != wanted:
        raise CallError(f"{item.where}: arguments {wanted} wanted, got {list(arguments)}")
    return tuple(arguments.values())


def _encode(item: Item, parameters: Sequence[Parameter], values: Sequence[Any]) -> bytes:
    if len(values) != len(parameters):
        raise CallError(f"{item.where}: {len(parameters)} values wanted, got {len(values)}")
    checked = [
        normalise(one.kind, value, f"{item.where}: {one.name or 'result'}")
        for one, value in zip(parameters, values, strict=True)
    ]
    return encode([one.kind for one in parameters], checked)


def _decode(item: Item, parameters: Sequence[Parameter], data: bytes) -> tuple[Any, ...]:
    try:
        return decode([one.kind for one in parameters], bytes(data))
    except CallError as error:
        raise CallError(f"{item.where}: bytes that are no arguments of it: {error}") from error
