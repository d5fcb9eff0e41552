"""Campaigns: valid inputs of a decoder, changed in many ways by one seed; what must hold of each.

Faster than properties by a factor of ten, so that `make soak` can try 100,000 inputs a decoder.
"""

import copy
import json
import logging
import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fedledger.errors import FedledgerError

__all__ = ["INPUTS", "changed_bytes", "changed_json", "changed_value", "run"]

INPUTS = pytest.mark.parametrize("inputs", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
"""How many inputs: some in `make test`, all of them in `make soak`."""

SEED = 10

GROWTH = 256 * 1024
"""Kibibytes by which all inputs together may let the process grow."""

NUMBERS: tuple[int, ...] = (
    0,
    1,
    2,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**47,
)
NUMBERS += (2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**30, 10**400)
PIECES: tuple[bytes, ...] = (
    b"\0",
    b"\xff",
    b"{",
    b"}",
    b"[",
    b'"',
    b",",
    b":",
    b"null",
    b"\\udcff",
    b"\xed\xb3\xbf",
)
PIECES += (b"1e999", b"-1", b"NaN", b"[" * 300, b'{"a":' * 300, b"9" * 5000, b"0" * 64, b"\x80" * 9)

RAW: tuple[str, ...] = (
    "1e999",
    "-1e999",
    "1e-999",
    "NaN",
    "-Infinity",
    "-0",
    "0.5",
    "1.0",
    "9" * 5000,
    "1" * 300,
)
RAW += (
    '"\\udcff"',
    '"\\ud800x"',
    '"\\u0000"',
    '"zz"',
    '"0x"',
    '"0x' + "g" * 40 + '"',
    '""',
    "null",
)
RAW += ("true", "{}", "[]", "[null]", "[" * 250 + "]" * 250, '{"a":' * 250 + "0" + "}" * 250)
RAW += (
    '{"a":1,"a":2}',
    '"' + "x" * 5000 + '"',
    '"a\\nb"',
    '"' + "0" * 63 + '"',
    "[0,140737488355328]",
)
RAW += tuple(str(number) for number in NUMBERS) + tuple(str(-number) for number in NUMBERS)
_HOLE = "\x00hole%d\x00"


def changed_bytes(draw: random.Random, good: bytes) -> bytes:
    """Return bytes with one to three changes: flipped, cut, repeated, put in, other numbers."""
    data = bytearray(good)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at = draw.randrange(len(data) + 1)
        length = draw.choice((1, 2, 4, 8, draw.randrange(1, 40)))
        kind = draw.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[at : at + 1] = draw.randbytes(1)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + length]
        elif kind == 4:
            data[at:at] = draw.choice(PIECES)
        elif kind == 5:
            width, number = draw.choice((1, 2, 4, 8)), draw.choice(NUMBERS)
            number = max(0, number + draw.choice((-1, 0, 0, 1))) % 256**width
            data[at : at + width] = number.to_bytes(width, draw.choice(("little", "big")))
        elif kind == 6:
            del data[at:]
        else:
            other = draw.randrange(len(data) + 1)
            data[at : at + length] = data[other : other + length]
    return bytes(data)


def changed_value(draw: random.Random, value: Any, others: Sequence[Any]) -> Any:
    """Return a copy of lists and dictionaries with one to three places left out or changed."""
    whole = [copy.deepcopy(value)]
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        parent, key = draw.choice(list(_places(whole)))
        other, kind = copy.deepcopy(draw.choice(others)), draw.randrange(6)
        if kind == 0 and parent is not whole:
            del parent[key]
        elif kind == 1 and isinstance(parent[key], dict):
            parent[key][draw.choice(("a", "", "\udcff", "version", str(key)))] = other
        elif kind == 2 and isinstance(parent[key], list):
            parent[key].insert(draw.randrange(len(parent[key]) + 1), other)
        elif kind == 3 and isinstance(parent, list) and parent is not whole:
            parent += [copy.deepcopy(parent[key]) for _ in range(draw.choice((1, 2, 50)))]
        elif kind == 4:
            found, name = draw.choice(list(_places(whole)))
            parent[key] = copy.deepcopy(found[name])
        else:
            parent[key] = other
    return whole[0]


def changed_json(draw: random.Random, value: Any, *, canonical: bool = True) -> bytes:
    """Return the JSON of a changed value: what no parser may take, what few expect, the rest."""
    holes = [_HOLE % number for number in range(len(RAW))]
    text = json.dumps(changed_value(draw, value, holes), sort_keys=canonical, separators=(",", ":"))
    for number, raw in enumerate(RAW):
        text = text.replace(json.dumps(_HOLE % number), raw)
    data = text.encode()
    return changed_bytes(draw, data) if draw.randrange(10) == 0 else data


def _places(whole: Any) -> Any:
    """Give each place inside as its parent and its key."""
    waiting = [whole]
    while waiting:
        parent = waiting.pop()
        for key in list(parent) if isinstance(parent, dict) else range(len(parent)):
            yield parent, key
            if isinstance(parent[key], dict | list):
                waiting.append(parent[key])


def run(
    inputs: int,
    make: Callable[[random.Random], Any],
    decode: Callable[[Any], None],
    *,
    seconds: float = 1.0,
) -> Counter[str]:
    """Decode many inputs; each is decoded, or refused by an error of this library, and at once.

    Args:
        inputs: how many.
        make: makes one.
        decode: decodes it, and checks what came of it.
        seconds: of this process's own time that an input may cost; most take microseconds.

    Returns:
        How often each error came; "" for what was decoded.
    """
    draw, found = random.Random(SEED), Counter[str]()
    logging.disable(logging.CRITICAL)  # what is refused may be logged, a hundred thousand times
    try:
        _try_all(inputs, draw, make, decode, found, seconds=seconds)
    finally:
        logging.disable(logging.NOTSET)
    return found


def _try_all(
    inputs: int,
    draw: random.Random,
    make: Callable[[random.Random], Any],
    decode: Callable[[Any], None],
    found: Counter[str],
    *,
    seconds: float,
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(inputs):
        given = make(draw)
        start = time.process_time()
        try:
            decode(given)
            found[""] += 1
        except FedledgerError as error:
            str(error).encode()  # it can be printed and put down
            found[type(error).__name__] += 1
        except Exception:  # noqa: BLE001 - any class but ours is what is looked for
            pytest.fail(f"input {number}, {given!r:.2000}:\n{traceback.format_exc()}")
        took = time.process_time() - start
        assert took < seconds, f"input {number} took {took:.2f} s: {given!r:.2000}"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < GROWTH, f"grown by {grown} KiB"
