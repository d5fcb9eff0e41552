"""Packed Paillier by a reading of docs/formats.md, in Python's own numbers."""

import json
import math
import struct
from hashlib import sha256
from importlib.resources import files

import pytest

CASES = json.loads((files("fedledger") / "vectors" / "paillier.json").read_text())


def number(text):
    return int(text, 16)


def pieces(data, size):
    return [int.from_bytes(data[at : at + size], "big") for at in range(0, len(data), size)]


@pytest.fixture(params=CASES, ids=lambda case: str(case["bits"]))
def case(request):
    return request.param


def test_the_key_by_hand(case):
    """Modulus, base of the blinding, bytes and digest follow from p, q and y."""
    p, q, y = number(case["p"]), number(case["q"]), number(case["y"])
    n, size = p * q, case["bits"] // 8
    assert n.bit_length() == case["bits"]
    assert p % 4 == q % 4 == 3
    assert math.gcd(p - 1, q - 1) == 2
    h = pow(-(y**2), n, n**2)
    key = b"fedledger paillier key 1" + struct.pack(">I", case["bits"])
    key += n.to_bytes(size, "big") + h.to_bytes(2 * size, "big")
    assert key.hex() == case["key"]
    assert sha256(key).hexdigest() == case["digest"]


def test_rounding_and_packing_by_hand(case):
    """Each value is rounded by its own 32 bits, and lies in its slot."""
    offset = 2 ** (case["value_bits"] - 1) - 1
    [clip] = struct.unpack("<d", bytes.fromhex(case["clip"]))
    slot = (case["total_weight"] * 2 * offset).bit_length()
    slots = (case["bits"] - 1) // slot
    assert (slot, slots) == (case["slot"], case["slots"])
    for client in case["clients"]:
        count = len(client["rounded"])
        values = struct.unpack(f"<{count}f", bytes.fromhex(client["values"]))
        drawn = struct.unpack(f"<{count}I", bytes.fromhex(client["drawn"]))
        rounded = []
        for value, r in zip(values, drawn, strict=True):
            a = max(-clip, min(clip, value)) * (offset / clip)
            a = max(-offset, min(offset, a))
            rounded.append(math.floor(a) + (r < (a - math.floor(a)) * 2**32))
        assert rounded == client["rounded"]
        assert max(map(abs, rounded)) == offset, "values beyond the clip are at it"
        plaintexts = [
            sum((q + offset) << slot * i for i, q in enumerate(rounded[at : at + slots]))
            for at in range(0, count, slots)
        ]
        assert [f"{one:x}" for one in plaintexts] == client["plaintexts"]
        assert len(plaintexts) == 2, "the last one is not full"


def test_ciphertexts_by_hand(case):
    """Each is the formula's; their product opens to the weighted sums."""
    n = number(case["p"]) * number(case["q"])
    n2, width = n * n, case["bits"] // 4
    h = int.from_bytes(bytes.fromhex(case["key"])[-width:], "big")
    product = [1, 1]
    for client in case["clients"]:
        found = pieces(bytes.fromhex(client["ciphertexts"]), width)
        drawn = pieces(bytes.fromhex(client["x"]), case["bits"] // 16)
        for place, (text, x) in enumerate(zip(client["plaintexts"], drawn, strict=True)):
            assert found[place] == (1 + number(text) * n) * pow(h, x, n2) % n2
            product[place] = product[place] * pow(found[place], client["weight"], n2) % n2
    assert product == pieces(bytes.fromhex(case["product"]), width)
    assert sum(client["weight"] for client in case["clients"]) == case["total_weight"]


def test_the_opened_sum_by_hand(case):
    """With λ = lcm(p-1, q-1) the product opens to exactly the sum of what clients rounded."""
    p, q = number(case["p"]), number(case["q"])
    n, weight = p * q, case["total_weight"]
    secret = math.lcm(p - 1, q - 1)
    offset = 2 ** (case["value_bits"] - 1) - 1
    opened = []
    for c in pieces(bytes.fromhex(case["product"]), case["bits"] // 4):
        m = (pow(c, secret, n * n) - 1) // n * pow(secret, -1, n) % n
        mask = 2 ** case["slot"] - 1
        opened += [m >> case["slot"] * i & mask for i in range(case["slots"])]
    count = len(case["sums"])
    assert [one - weight * offset for one in opened[:count]] == case["sums"]
    assert set(opened[count:]) == {0}
    weighed = [[c["weight"] * one for one in c["rounded"]] for c in case["clients"]]
    assert [sum(column) for column in zip(*weighed, strict=True)] == case["sums"]
    [clip] = struct.unpack("<d", bytes.fromhex(case["clip"]))
    mean = [one / (offset / clip * weight) for one in case["sums"]]
    assert struct.pack(f"<{count}f", *mean).hex() == case["mean"]
