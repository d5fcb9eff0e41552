"""Campaigns against what peers, clients and disks give a node: bytes, answers, files."""

import asyncio
import hashlib
import json
from typing import Any

import msgpack
import pytest
from support.cores import ADMIN, BLOCK, SIGNED, Bench, mine
from support.fuzzing import INPUTS, changed_bytes, changed_json, changed_value, run

from fedledger.effects import Effects
from fedledger.effects.real import SystemDisk
from fedledger.errors import AccountError, LedgerUnavailable, MalformedBlock
from fedledger.formats import parse_json
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account, decode_transaction
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.contracts.abi import decode_call, encode_call
from fedledger.ledger_plugins.keystore import read_keystore, stated_address
from fedledger.ledger_plugins.local.chain.block import Block
from fedledger.ledger_plugins.local.disk.database import BlockFile
from fedledger.ledger_plugins.local.disk.snapshot import (
    _MAGIC,
    load_snapshot,
    save_snapshot,
    snapshot_path,
)
from fedledger.ledger_plugins.local.node.chain.envelope import Envelope
from fedledger.ledger_plugins.local.node.http.service import ROUTES, Call, NodeService
from fedledger.ledger_plugins.local.node.http.wire import error_from_json, pack, unpack
from fedledger.ledger_plugins.storage.cid import cid_from_bytes, cid_of, cid_to_bytes

CID = cid_of(b"a content")
ADDRESS = "0x" + "22" * 20
CALLS = [
    ("TrainingTask", "submitUpdate", 1, 1, cid_to_bytes(CID), 5, 500_000, bytes(32), bytes(32)),
    ("TrainingTask", "propose", "a model", cid_to_bytes(CID), 3, 60, 20, cid_to_bytes(CID)),
    ("StakeToken", "mint", ADDRESS, 10**20),
]


def envelope(data):
    assert Envelope.decode(data).encode() == data


def transaction(data):
    assert decode_transaction(data).raw == data


def block(data):
    assert Block.decode(data).encode() == data


def packed(data):
    assert pack(unpack(data, at_most=64, each=1_000)) == data


def cid(data):
    text = data.decode("latin-1")
    assert cid_from_bytes(cid_to_bytes(text)) == text


def binary_cid(data):
    assert cid_to_bytes(cid_from_bytes(data)) == data


DECODERS = {
    "envelope": (envelope, Envelope.sign(BLOCK, ADMIN).encode()),
    "transaction": (transaction, SIGNED),
    "block": (block, BLOCK.encode()),
    "list": (packed, pack([b"one", b"", b"three" * 20])),
    "cid": (cid, CID.encode()),
    "binary cid": (binary_cid, cid_to_bytes(CID)),
}


@INPUTS
@pytest.mark.parametrize("what", DECODERS)
def test_bytes(inputs, what, record_property):
    """What can be decoded is written back to the same bytes; all else is refused."""
    decode, good = DECODERS[what]
    found = run(inputs, lambda draw: changed_bytes(draw, good), decode)
    record_property(what, dict(found))
    assert inputs / 2 < sum(count for name, count in found.items() if name) < inputs


@INPUTS
def test_calls(inputs, record_property):
    """A call's data is arguments that are written back to the same data, or refused."""
    goods = [(one[0], encode_call(*one)) for one in CALLS]

    def make(draw):
        contract, data = draw.choice(goods)
        return contract, changed_bytes(draw, data)

    def decode(given):
        contract, data = given
        function, arguments = decode_call(contract, data)
        assert encode_call(contract, function, *arguments) == data

    found = run(inputs, make, decode)
    record_property("calls", dict(found))
    assert found[""] > inputs / 50


@INPUTS
def test_errors_in_json(inputs, record_property):
    """What a node says of an error is an error of the ledger, whatever it says."""
    good = {
        "error": "ContractError",
        "message": "no",
        "contract": "TrainingTask",
        "name": "TaskFinished",
        "arguments": {"task": {"int": "1"}, "who": ADDRESS, "raw": {"bytes": "00ff"}, "l": [True]},
        "reason": "nonce",
        "field": "data",
    }

    def decode(data):
        try:
            plain = parse_json(data)
        except ValueError:
            raise LedgerUnavailable("no JSON") from None
        raise error_from_json(plain)

    kinds = ("ContractError", "TransactionRefused", "MalformedTransaction", "MalformedBlock", "?")
    make = lambda draw: changed_json(draw, good | {"error": draw.choice(kinds)})  # noqa: E731
    found = run(inputs, make, decode)
    record_property("errors", dict(found))
    assert set(found) == {*kinds[:-1], "LedgerUnavailable"}


def overwrite(path, data):
    """Write a file in place: one that is emptied first is flushed by some disks."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


@INPUTS
def test_keystores(inputs, tmp_path, record_property):
    """A keystore file names an account, or is none; nothing is decrypted to tell."""
    path, disk = tmp_path / "one.json", SystemDisk()
    Account.from_key(b"\5" * 32).save(path, "a password", light=True)
    good = json.loads(path.read_text())

    def decode(data):
        overwrite(path, data)
        stated_address(read_keystore(path, disk), path)

    found = run(inputs, lambda draw: changed_json(draw, good), decode)
    record_property("keystores", dict(found))
    assert set(found) == {"", AccountError.__name__}


@INPUTS
def test_requests(inputs, tmp_path, record_property):
    """A node answers every request, and its own errors are none of its answers."""
    bench = Bench(tmp_path)
    core = bench.core("node")
    core.submit(bench.mint().raw)
    head = core.snapshot.head.hex()

    class Operator:
        network, token = "n", "t"

        def about(self):
            return {}

        def hint(self, *_said):
            return None

    service = NodeService(core, Operator(), Effects.real().work)
    texts = [
        head,
        "0x" + head,
        CID,
        "é\udcff",
        "",
        "nan",
        "1e999",
        "-1",
        "0.0",
        ",".join([head] * 70),
    ]
    bodies = [SIGNED, pack([bytes(32)]), b"start", b"http://127.0.0.1:1 a 1", b"", b"\xff" * 9]

    def make(draw):
        route = draw.choice([one for one in ROUTES if not one.control])
        body = changed_bytes(draw, draw.choice(bodies))
        if draw.randrange(50) == 0:
            body = bench.mint(draw.randrange(2**40), nonce=draw.randrange(4)).raw
        named = {name: draw.choice(texts) for name in ("block", "cid", "transaction")}
        query = {name: draw.choice(texts) for name in ("after", "wait") if draw.randrange(4)}
        if query.get("wait") == head:  # too long a wait for a test
            del query["wait"]
        return route, Call(named=named, query=query, body=body[: route.most])

    def decode(given):
        answer = loop.run_until_complete(service.answer(*given))
        codes[answer.status] = codes.get(answer.status, 0) + 1
        assert answer.status != 500

    codes: dict[int, int] = {}
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        run(inputs, make, decode)
    record_property("answers", codes)
    assert {200, 202, 204, 400, 404, 422} <= set(codes)
    mine(core)  # it is none the worse
    bench.close()


def listed(value):
    """Return tuples as lists, but those that are keys."""
    if isinstance(value, dict):
        return {key: listed(inner) for key, inner in value.items()}
    plain = isinstance(value, tuple) and not isinstance(value, msgpack.ExtType)
    return [listed(inner) for inner in value] if plain else value


@pytest.mark.parametrize("inputs", [200, pytest.param(5_000, marks=pytest.mark.soak)])
def test_snapshots(inputs, tmp_path, record_property):
    """A snapshot under a right checksum is used or is not; it never keeps a chain from opening.

    Each attempt makes a chain, which takes milliseconds: hence fewer inputs.
    """
    disk = SystemDisk()
    with open_ledger(f"local://{tmp_path}/chain.db", admin=ADMIN.address) as opened:
        ledger: Any = opened
        StakeToken(ledger).mint(ADMIN, ADDRESS, 2**70)
        path = snapshot_path(tmp_path / "chain.db")
        save_snapshot(path, ledger._chain, disk)
    whole = path.read_bytes()
    good = whole[len(_MAGIC) + 32 :]
    plain = listed(msgpack.unpackb(good, use_list=False, strict_map_key=False))
    others = [None, 0, -1, 2**63, "", "a", b"", b"\0" * 32, [], {}, [[]], {"a": 1}, True, 0.5]
    file = BlockFile(tmp_path / "chain.db", write=False)

    def make(draw):
        if draw.randrange(2):
            return changed_bytes(draw, good)
        try:
            return msgpack.packb(changed_value(draw, plain, others))
        except (TypeError, ValueError, OverflowError):
            return good

    def decode(data):
        overwrite(path, _MAGIC + hashlib.sha256(data).digest() + data)
        chain = load_snapshot(path, file, disk)
        if chain is None:
            raise MalformedBlock("snapshot", "not used")

    found = run(inputs, make, decode)
    record_property("snapshots", dict(found))
    file.close()
    assert found["MalformedBlock"] > inputs / 4
