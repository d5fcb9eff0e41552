"""The vectors in the wheel: frozen, and right by a reading of docs/formats.md by hand."""

import base64
import json
import math
import re
import struct
from fractions import Fraction
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from support import rules_in_words as words
from support.examples import examples
from support.vectors import SECTIONS, text_of

from fedledger.arrays import Layout
from fedledger.formats import canonical_json
from fedledger.strategies.rounds.evidence.documents import save

CODES = {
    "float16": ("F16", "e"),
    "float32": ("F32", "f"),
    "float64": ("F64", "d"),
    "int8": ("I8", "b"),
    "int16": ("I16", "h"),
    "int32": ("I32", "i"),
    "int64": ("I64", "q"),
    "uint8": ("U8", "B"),
    "uint16": ("U16", "H"),
    "uint32": ("U32", "I"),
    "uint64": ("U64", "Q"),
    "bool": ("BOOL", "?"),
}


STEPS = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-9, 9).map(
    lambda k: k / 2
)


def vectors(section):
    return json.loads((files("fedledger") / "vectors" / f"{section}.json").read_text())


def values(array):
    data = bytes.fromhex(array["values"])
    code = CODES[array["dtype"]][1]
    return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))


def singles(data):
    return [value for (value,) in struct.iter_unpack("<f", bytes.fromhex(data))]


def doubles(data):
    return [value for (value,) in struct.iter_unpack("<d", bytes.fromhex(data))]


def u8(number):
    return number.to_bytes(1, "big")


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


def frame(data):
    return u32(len(data)) + data


def digest(*parts):
    return sha256(b"".join(parts)).digest()


@pytest.mark.parametrize("section", SECTIONS)
def test_the_vectors_are_what_the_code_makes(section):
    """A file that differs means that bytes or bits changed which others hashed or signed."""
    assert (files("fedledger") / "vectors" / f"{section}.json").read_text() == text_of(section)


def test_every_section_of_the_page_has_vectors_and_every_file_a_section():
    """The page, the files and the script that makes them list the same names."""
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    named = re.findall(r"^Vectors: `(\w+)\.json`\.$", page, re.MULTILINE)
    assert named == list(SECTIONS)
    assert len(re.findall(r"^## ", page, re.MULTILINE)) == len(named)
    folder = files("fedledger") / "vectors"
    assert {item.name for item in folder.iterdir()} == {f"{name}.json" for name in named}


def quoted(text):
    """A key as the words say."""
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r"}
    short["\t"] = "\\t"
    return "".join(short.get(c, f"\\u{ord(c):04x}" if c < " " else c) for c in text)


def in_safetensors(model):
    entries, body = [], b""
    for array in model:
        data = bytes.fromhex(array["values"])
        shape = ",".join(map(str, array["shape"]))
        entries.append(
            f'"{quoted(array["key"])}":{{"dtype":"{CODES[array["dtype"]][0]}","shape":[{shape}],'
            f'"data_offsets":[{len(body)},{len(body) + len(data)}]}}'
        )
        body += data
    header = ("{" + ",".join(entries) + "}").encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + body


def test_safetensors_by_hand():
    """Length, header in the arrays' order, padding, values."""
    for case in vectors("safetensors"):
        assert in_safetensors(case["model"]).hex() == case["bytes"]


def difference(dtype, new, old):
    if dtype in {"float16", "float32", "float64"}:
        if not math.isfinite(old):
            return (words.single(new) or 2.0**-126) if math.isfinite(new) else 0.0
        return words.single(new - old)
    return words.rounded_once(Fraction(int(new) - int(old)))


def moved(array, old, step):
    dtype = array["dtype"]
    if not math.isfinite(old):
        if step == 0:
            return old
        old = 0.0
    if dtype == "float64":
        return old + step
    if dtype == "float32":
        return words.single(old + step)
    if dtype == "float16":
        return struct.unpack("<e", struct.pack("<e", words.single(old + step)))[0]
    if dtype == "bool":
        return words.single(old + step) >= 0.5
    size = 8 * struct.calcsize(CODES[dtype][1])
    low, high = (0, 2**size - 1) if dtype[0] == "u" else (-(2 ** (size - 1)), 2 ** (size - 1) - 1)
    return min(max(old + round(step), low), high)


def test_updates_by_hand():
    """The difference, its bytes, and the model that a step leads to, for each kind of dtype."""
    case = vectors("updates")
    expected = [
        difference(old["dtype"], after, before)
        for old, new in zip(case["old"], case["new"], strict=True)
        for after, before in zip(values(new), values(old), strict=True)
    ]
    assert struct.pack(f"<{len(expected)}f", *expected).hex() == case["difference"]
    at = 0
    update = []
    for old, result in zip(case["old"], case["sum"], strict=True):
        count = len(values(old))
        part = case["step"][8 * at : 8 * (at + count)]
        update.append(old | {"dtype": "float32", "values": part})
        found = [moved(old, a, b) for a, b in zip(values(old), singles(part), strict=True)]
        packed = struct.pack(f"<{count}{CODES[old['dtype']][1]}", *found)
        assert packed.hex() == result["values"], old["key"]
        at += count
    assert in_safetensors(update).hex() == case["update_bytes"]


@pytest.mark.parametrize("dtype", CODES)
@examples(60)
@given(data=st.data())
def test_arrays_of_every_dtype_move_and_differ_as_the_words_say(dtype, data):
    """Ties, denormals, ends of ranges, sums beyond 64 bits, and steps of any size."""
    code = CODES[dtype][1]
    if code in "efd":
        width = 8 * struct.calcsize(code)
        value = st.floats(width=width, allow_nan=False, allow_infinity=False)
        value |= st.integers(-9, 9).map(lambda k: k * 2.0 ** {16: -24, 32: -149, 64: -1074}[width])
        before = value | st.sampled_from([math.inf, -math.inf, math.nan])
    elif code == "?":
        value = st.booleans()
    else:
        ends = np.iinfo(dtype)
        value = st.integers(int(ends.min), int(ends.max))
    kinds = (before if code in "efd" else value, value, STEPS)
    olds, news, steps = (data.draw(st.lists(kind, min_size=4, max_size=4)) for kind in kinds)
    old, new, step = np.array(olds, dtype), np.array(news, dtype), np.array(steps, np.float32)
    layout = Layout.from_arrays({"a": old})
    with np.errstate(over="ignore"):
        found = layout.difference({"a": new}, {"a": old}).tolist()
        sums = layout.add({"a": old}, step)["a"]
    expected = [difference(dtype, a, b) for a, b in zip(new.tolist(), old.tolist(), strict=True)]
    assert list(map(repr, found)) == list(map(repr, expected))
    try:
        expected = [moved({"dtype": dtype}, a, b) for a, b in zip(olds, steps, strict=True)]
    except OverflowError:  # beyond F16: `struct` has no infinity for it
        assert np.isinf(sums).any()
    else:
        assert list(map(repr, sums.tolist())) == list(map(repr, expected))


def varint(number):
    out = b""
    while number > 127:
        out += u8(number & 127 | 128)
        number >>= 7
    return out + u8(number)


def part(data):
    return varint(len(data)) + data


def binary_cid(content, chunk, links):
    nodes = []
    for at in range(0, max(len(content), 1), chunk):
        leaf = content[at : at + chunk]
        nodes.append((b"\x01\x55\x12\x20" + digest(leaf), len(leaf), len(leaf)))
    while len(nodes) > 1:
        level = []
        for at in range(0, len(nodes), links):
            children = nodes[at : at + links]
            block = b"".join(
                b"\x12" + part(b"\x0a" + part(cid) + b"\x12\x00\x18" + varint(size))
                for cid, _, size in children
            )
            held = sum(child[1] for child in children)
            data = b"\x08\x02\x18" + varint(held)
            data += b"".join(b"\x20" + varint(child[1]) for child in children)
            block += b"\x0a" + part(data)
            size = len(block) + sum(child[2] for child in children)
            level.append((b"\x01\x70\x12\x20" + digest(block), held, size))
        nodes = level
    return nodes[0][0]


def test_cids_by_hand():
    """A leaf, two leaves, a full node, two levels; both profiles; binary and text."""
    profiles = {"unixfs-v1-256k-174-raw": (262_144, 174), "unixfs-v1-2025": (1_048_576, 1024)}
    for case in vectors("cid"):
        piece, length = bytes.fromhex(case["pattern"]), case["length"]
        content = (piece * (length // max(len(piece), 1) + 1))[:length]
        assert set(case["cid"]) == set(profiles)
        for name, (chunk, links) in profiles.items():
            binary = binary_cid(content, chunk, links)
            assert binary.hex() == case["binary"][name]
            text = "b" + base64.b32encode(binary).decode().lower().rstrip("=")
            assert text == case["cid"][name]
            assert len(text) == 59


def test_transactions_are_those_of_another_library():
    """eth-account signs the same envelopes, byte for byte."""
    case = vectors("transactions")
    signer = Account.from_key(case["private_key"])
    assert signer.address == case["sender"]
    for call in case["calls"]:
        numbers = ("nonce", "gas")
        fields = {
            "type": 2,
            "chainId": int(call["chain_id"]),
            "maxFeePerGas": int(call["max_fee_per_gas"]),
            "maxPriorityFeePerGas": int(call["max_priority_fee_per_gas"]),
            "to": call["to"],
            "value": 0,
            "data": "0x" + call["data"],
            "accessList": [],
        } | {name: int(call[name]) for name in numbers}
        signed = signer.sign_transaction(fields)
        assert bytes(signed.raw_transaction).hex() == call["envelope"]
        assert "0x" + keccak(bytes.fromhex(call["envelope"])).hex() == call["hash"]


def merkle(entries):
    """The definition of RFC 6962, which splits instead of pairing."""
    if not entries:
        return digest()
    if len(entries) == 1:
        return digest(b"\0", entries[0])
    half = 1
    while 2 * half < len(entries):
        half *= 2
    return digest(b"\1", merkle(entries[:half]), merkle(entries[half:]))


def test_blocks_by_hand():
    """Roots, parameters, hashes, nonces, links and bytes."""
    case = vectors("blocks")
    for tree in case["merkle"]:
        assert merkle([bytes.fromhex(e) for e in tree["entries"]]).hex() == tree["root"]
    chain = case["genesis"]
    difficulty = int(chain["difficulty"])
    parameters = [frame(b"fedledger genesis v3"), u64(int(chain["chain_id"]))]
    parameters += [(difficulty - 1).to_bytes(32, "big"), frame(bytes.fromhex(chain["admin"][2:]))]
    parameters.append(u32(len(chain["contracts"])))
    for entry in chain["contracts"]:
        parameters += [frame(entry["name"].encode()), u32(entry["version"])]
        parameters += [bytes.fromhex(entry["abi"]), bytes.fromhex(entry["twin"])]
        parameters += [u32(len(entry["holds"])), *(frame(r.encode()) for r in entry["holds"])]
        place = keccak(b"fedledger contract " + entry["name"].encode())[12:]
        assert place.hex() == entry["address"][2:].lower()
    assert case["blocks"][0]["transactions"] == [b"".join(parameters).hex()]
    previous = bytes(32)
    for number, block in enumerate(case["blocks"]):
        envelopes = [bytes.fromhex(raw) for raw in block["transactions"]]
        entries = [
            frame(info["model_id"].encode())
            + frame(bytes.fromhex(info["cid"]))
            + u32(info["total_iter"])
            + u32(info["current_iter"])
            + bytes.fromhex(info["from"][2:])
            + (b"\0" if info["accuracy"] is None else b"\1" + u32(info["accuracy"]))
            for info in block["model_info"]
        ]
        infos = digest(frame(b"fedledger model info v1"), *map(frame, entries))
        flag = u8(bool(entries))
        root, time = merkle(envelopes), u64(block["timestamp"])
        fields = (u64(number), previous, time, flag, root, infos)
        found = digest(frame(b"fedledger block v1"), *map(frame, fields))
        nonce = next(
            nonce
            for nonce in range(2**20)
            if int.from_bytes(digest(found, u64(nonce)), "big") < difficulty
        )
        written = [b"FLB\x01", u64(number), found, previous, u64(nonce), time, flag, root]
        written += [u32(len(envelopes)), *map(frame, envelopes), u32(len(entries)), *entries]
        assert (block["index"], block["nonce"]) == (number, nonce)
        assert block["hash"] == found.hex()
        assert block["transactions_root"] == root.hex()
        assert block["previous_hash"] == previous.hex()
        assert block["bytes"] == b"".join(written).hex()
        previous = found


def test_headers_by_hand():
    """A header hashes to its block's hash and holds that of the one before, in its place."""
    for case in vectors("headers"):
        before = case["hashes"][0]
        for raw, expected in zip(case["headers"], case["hashes"][1:], strict=True):
            header = bytes.fromhex(raw)
            if case["form"] == "fedledger":
                found, start = digest(header), 4 + len(b"fedledger block v1") + 4 + 8 + 4
            else:
                found, start = keccak(header), 3
            assert header[start : start + 32].hex() == before
            assert found.hex() == expected
            before = expected


def test_lots_by_hand():
    """The seals, what clients sign, and the number that all salts give together."""
    for case in vectors("lots"):
        lists = [b"fedledger update list v1", u64(case["task"]), u64(case["round"])]
        lots = [b"fedledger lot v1", *lists[1:]]
        for parts in (lists, lots):
            parts.append(u64(len(case["updates"])))
        for update in case["updates"]:
            place, cid = u64(update["client"]), bytes.fromhex(update["cid"])
            seal, salt = bytes.fromhex(update["seal"]), bytes.fromhex(update["salt"] or "")
            lists += [place, cid, seal, u64(bool(salt))]
            lots += [place, cid, salt]
            if salt:
                account = bytes.fromhex(update["account"][2:])
                assert digest(b"fedledger seal v1", account, salt) == seal
        assert digest(*map(frame, lists)).hex() == case["list"]
        assert int.from_bytes(digest(*map(frame, lots)), "big") % case["of"] == case["lot"]


def test_ballots_by_hand():
    """The hash over the task, the round, the base model and the candidates."""
    for case in vectors("ballots"):
        parts = [b"fedledger ballot v1", u64(int(case["task"])), u64(case["round"])]
        parts += [cid.encode() for cid in (case["base"], *case["candidates"])]
        assert digest(*map(frame, parts)).hex() == case["ballot"]


def test_openings_by_hand():
    """Canonical JSON of eight members, and its CID as that of any content."""
    for case in vectors("openings"):
        said = {name: case[name] for name in ("contract", "account", "content", "salt", "round")}
        said |= {name: int(case[name]) for name in ("chain", "task")}
        data = canonical({"label": "fedledger opening v1", **said}).encode()
        assert data.hex() == case["bytes"]
        assert (
            "b"
            + base64.b32encode(b"\x01\x55\x12\x20" + sha256(data).digest())
            .decode()
            .rstrip("=")
            .lower()
            == (case["cid"])
        )


def canonical(value):
    if isinstance(value, dict):
        members = [f"{canonical(name)}:{canonical(value[name])}" for name in sorted(value)]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(map(escaped, value)) + '"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def escaped(character):
    if " " <= character <= "~" or character in "\b\f\n\r\t":
        return quoted(character)
    if character > "\uffff":
        pair = struct.unpack(">2H", character.encode("utf-16-be"))
        return "".join(f"\\u{half:04x}" for half in pair)
    return f"\\u{ord(character):04x}"


def test_statements_by_hand():
    """Another library's EIP-712 comes to the same digest, and recovers the signer."""
    for case in vectors("statements"):
        name, _, inside = case["type"][:-1].partition("(")
        fields = [
            dict(zip(("type", "name"), field.split(" "), strict=True))
            for field in inside.split(",")
        ]
        kinds = {field["name"]: field["type"] for field in fields}
        values = {
            key: bytes.fromhex(value)
            if kinds[key].startswith("bytes")
            else int(value)
            if "int" in kinds[key]
            else value
            for key, value in case["values"].items()
        }
        domain = {
            "name": "fedledger",
            "version": "1",
            "chainId": int(case["chain_id"]),
            "verifyingContract": case["contract"],
            "salt": case["task"].to_bytes(16, "big") + case["round"].to_bytes(16, "big"),
        }
        message = encode_typed_data(domain, {name: fields}, values)
        digest = keccak(b"\x19\x01" + message.header + message.body)
        assert (message.header.hex(), digest.hex()) == (case["separator"], case["digest"])
        signature = bytes.fromhex(case["signature"])
        assert Account.recover_message(message, signature=signature) == case["signer"]


def test_documents_by_hand():
    """Order, escapes and numbers; the text reads back as the value."""
    for case in vectors("documents"):
        text = bytes.fromhex(case["bytes"]).decode("ascii")
        assert text == canonical(case["value"])
        assert json.loads(text) == case["value"]


def test_documents_are_saved_in_that_form():
    """What is put into a store is canonical JSON, members with their default included."""

    class Document(BaseModel):
        b: int = 1
        a: str | None = None
        window: float = 1e-07

    put = []

    class Store:
        @staticmethod
        def put(data):
            put.append(data)
            return "cid"

    save(Document(), Store())
    assert put == [b'{"a":null,"b":1,"window":1e-07}'] == [canonical_json(Document().model_dump())]


def test_aggregates_by_hand():
    """Every rule on every input: distances, selection, vector."""
    for case in vectors("aggregation"):
        rows = [singles(update) for update in case["updates"]]
        assert [doubles(row) for row in case["distances"]] == words.distances(rows)
        for result in case["results"]:
            rule = words.RULES[result["rule"]]
            vector, selected = rule(rows, result["byzantine"], **result["parameters"])
            assert struct.pack(f"<{len(vector)}f", *vector).hex() == result["vector"]
            assert selected == result["selected"]
