"""The examples of docs/formats.md: what this library makes of given inputs, one file a section.

    cd tests/shared && python -m support.vectors

writes them anew into fedledger/vectors. They are frozen: that a file changes means that what was
hashed or signed before has other bytes now, and needs a new version of the format.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from eth_hash.auto import keccak

import fedledger
from fedledger.arrays import Layout, to_safetensors
from fedledger.formats import canonical_json
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.ancestry import linked
from fedledger.ledger_plugins.base import CallTerms, UnsignedTransaction
from fedledger.ledger_plugins.contracts.beacon.draws import leader, panel, round_party, spot
from fedledger.ledger_plugins.contracts.training_task.seals import seal_of
from fedledger.ledger_plugins.contracts.twin import Entry, ModelInfo
from fedledger.ledger_plugins.local.chain.block import Block, seal
from fedledger.ledger_plugins.local.chain.directory import contract_address
from fedledger.ledger_plugins.local.chain.genesis import Genesis
from fedledger.ledger_plugins.local.chain.merkle import merkle_root
from fedledger.ledger_plugins.openings import Opening
from fedledger.ledger_plugins.signing import Domain, Statement, plain_values
from fedledger.ledger_plugins.storage.cid import PROFILES, cid_of, cid_to_bytes
from fedledger.strategies.aggregation import aggregate, arithmetic
from fedledger.strategies.aggregation.kernels.distances import squared_distances
from fedledger.strategies.aggregation.kernels.rows import read_rows
from fedledger.strategies.protocols.pofl.draws import Listed, UpdateList
from fedledger.strategies.protocols.pofl.election import ballot_of
from support.paillier import examples_of_paillier
from support.threshold_vectors import threshold

FOLDER = Path(fedledger.__file__).parent / "vectors"
KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe512961708279f2e3e8a5d4b8e3f3a1")
ADDRESS = "0x" + "00" * 19 + "01"


def hexed(array: Any) -> str:
    """Return an array's values as the hexadecimal of their little-endian bytes."""
    return bytes(np.asarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()).hex()


def written(arrays: Any) -> list[dict[str, Any]]:
    """Return a model as JSON: its arrays in order."""
    return [
        {"key": key, "dtype": a.dtype.name, "shape": list(a.shape), "values": hexed(a)}
        for key, a in arrays.items()
    ]


def safetensors() -> Any:
    """Models and their bytes: every dtype, a scalar, no values, keys that need escapes."""
    kinds = ["float16", "float32", "float64", "bool"]
    kinds += [f"{sign}int{size}" for sign in ("", "u") for size in (8, 16, 32, 64)]
    models = [
        {"b": np.array([1, 2], np.int16), "a": np.array(0.5, np.float32)},
        {kind: np.arange(3).astype(kind) for kind in kinds},
        {"empty": np.zeros((0, 4), np.float32), "row by row": np.arange(6.0).reshape(2, 3)},
        {
            'q"\\\b\f\n\r\t\x01\x1f\x7f/': np.zeros(1, np.int8),
            "ü\u2028\U0001f600": np.ones(1, bool),
        },
    ]
    return [{"model": written(model), "bytes": to_safetensors(model).hex()} for model in models]


def updates() -> Any:
    """Old and new model, the update between them, a step, and the model that it leads to."""
    old = {
        "f16": np.array([1, 0.1, 65504, 0.0], np.float16),
        "f32": np.array([[1, 0.1], [2.0**-149, -0.0]], np.float32),
        "f64": np.array([1 + 2.0**-40, 0.1, 1e300, -0.0]),
        "i8": np.array([127, -128, 0, 5], np.int8),
        "i64": np.array([2**63 - 1, -(2**63), 0, 2**53 + 1], np.int64),
        "u64": np.array([2**64 - 1, 0, 1, 2**63], np.uint64),
        "bool": np.array([True, False, True, False]),
        "unset f16": np.array([np.inf, -np.inf, np.inf, -np.inf], np.float16),
        "unset f32": np.array([np.inf, -np.inf, np.nan, np.inf], np.float32),
        "unset f64": np.array([np.inf, -np.inf, np.nan, np.inf]),
    }
    new = {
        "f16": np.array([1.001, 0.3, -65504, -0.0], np.float16),
        "f32": np.array([[1 + 2.0**-23, 0.3], [0, 0.0]], np.float32),
        "f64": np.array([1, 0.1 + 2.0**-55, 0.5, 0.0]),
        "i8": np.array([-128, 127, 1, 5], np.int8),
        "i64": np.array([-(2**63), 2**63 - 1, 2**24 + 1, 2**53], np.int64),
        "u64": np.array([0, 2**64 - 1, 2**40 + 2**15 + 1, 2**63], np.uint64),
        "bool": np.array([False, True, True, False]),
        "unset f16": np.array([6.5, 0.0, -np.inf, -0.0], np.float16),
        "unset f32": np.array([0.1, -0.0, np.nan, np.inf], np.float32),
        "unset f64": np.array([0.1, 0.0, np.inf, -(2.0**-140)]),
    }
    layout = Layout.from_arrays(old)
    steps = [
        [2.0**-11, 2.0**-12, -1, 2.0**-25],  # f16
        [2.0**-24, 0.2, -(2.0**-149), 0],  # f32
        [2.0**-41, 2.0**-149, 1, 0],  # f64
        [0.5, -1.5, 2.5, -1e30],  # i8
        [1, -1, 3e19, -0.5],  # i64
        [1e20, -1, -1e20, 2.0**62],  # u64
        [-0.5, 0.5, -0.500001, 0.4999],  # bool
        [0.1, 0, 2.0**-126, -0.0],  # unset f16
        [0.1, 0, -0.0, 2.0**-126],  # unset f32
        [0.1, 0, -0.0, 2.0**-126],  # unset f64
    ]
    step = np.array(steps, dtype=np.float32).reshape(-1)
    return {
        "old": written(old),
        "new": written(new),
        "difference": hexed(layout.difference(new, old)),
        "update_bytes": to_safetensors(layout.as_float32().unflatten(step)).hex(),
        "step": hexed(step),
        "sum": written(layout.add(old, step)),
    }


def cid() -> Any:
    """Contents `pattern` repeated up to `length` bytes, and their CID under each profile."""
    chunk, links = 256 * 1024, 174
    cases = [("", 0), ("61", 1), ("000102", chunk), ("000102", chunk + 1), ("00", chunk * links)]
    cases += [("ff", chunk * links + 1), ("0001", 1024 * 1024 + 1)]
    made = []
    for pattern, length in cases:
        piece = bytes.fromhex(pattern)
        content = (piece * (length // max(len(piece), 1) + 1))[:length]
        cids = {name: cid_of(content, profile) for name, profile in PROFILES.items()}
        binary = {name: cid_to_bytes(text).hex() for name, text in cids.items()}
        made.append({"pattern": pattern, "length": length, "cid": cids, "binary": binary})
    return made


def transactions() -> Any:
    """Calls, the key that signed them, the envelope and its hash."""
    account = Account.from_key(KEY)
    calls = [
        UnsignedTransaction(CallTerms(1, ADDRESS), 0, b""),
        UnsignedTransaction(CallTerms(1337, ADDRESS, 21_000, 2 * 10**9, 10**9), 127, bytes(4)),
        UnsignedTransaction(CallTerms(2**63 - 1, ADDRESS, 1, 2**256 - 1, 0), 2**64 - 2, b"\x7f"),
        UnsignedTransaction(CallTerms(128, ADDRESS), 128, bytes(range(56))),
    ]
    made = []
    for call in calls:
        signed = account.sign(call)
        fees = {
            "max_priority_fee_per_gas": str(call.terms.max_priority_fee_per_gas),
            "max_fee_per_gas": str(call.terms.max_fee_per_gas),
        }
        numbers = {"chain_id": str(call.terms.chain_id), "nonce": str(call.nonce)} | fees
        fields = numbers | {"gas": str(call.terms.gas), "to": call.terms.to}
        made.append(
            fields | {"data": call.data.hex(), "envelope": signed.raw.hex(), "hash": signed.hash}
        )
    return {"private_key": KEY.hex(), "sender": account.address, "calls": made}


def blocks() -> Any:
    """Merkle roots; a chain's parameters and address; a first block and one with model info."""
    entries = [bytes([number]) * number for number in range(1, 8)]
    roots = [
        {"entries": [e.hex() for e in entries[:size]], "root": merkle_root(entries[:size]).hex()}
        for size in range(8)
    ]
    token = Entry("StakeToken", 1, b"\1" * 32, b"\2" * 32)
    tasks = Entry("TrainingTask", 2, b"\3" * 32, b"\4" * 32, ("MINTER_ROLE",))
    genesis = Genesis(1337, 2**250, ADDRESS, (token, tasks))
    first = genesis.block(1_700_000_000_000)
    infos = (
        ModelInfo("task-1", bytes.fromhex("01551220") + bytes(32), 5, 0, ADDRESS, None),
        ModelInfo("ü", bytes.fromhex("01701220") + b"\xff" * 32, 5, 5, ADDRESS, 999_999),
    )
    second = seal(
        index=1,
        previous_hash=first.header.hash,
        timestamp=1_700_000_000_001,
        transactions=(b"\x02first", b"\x02second", b"\x02third"),
        model_info=infos,
        difficulty=2**250,
    )
    return {
        "merkle": roots,
        "genesis": {
            "chain_id": "1337",
            "difficulty": str(2**250),
            "admin": ADDRESS,
            "contracts": [
                {
                    "name": entry.name,
                    "address": contract_address(entry.name),
                    "version": entry.version,
                    "abi": entry.abi.hex(),
                    "twin": entry.twin.hex(),
                    "holds": list(entry.holds),
                }
                for entry in genesis.contracts
            ],
        },
        "blocks": [_block(first), _block(second)],
    }


def _block(block: Block) -> dict[str, Any]:
    header = block.header
    return {
        "index": header.index,
        "previous_hash": header.previous_hash.hex(),
        "timestamp": header.timestamp,
        "transactions": [raw.hex() for raw in block.transactions],
        "model_info": [
            {
                "model_id": info.model_id,
                "cid": info.init_ipfs_hash.hex(),
                "total_iter": info.total_iter,
                "current_iter": info.current_iter,
                "from": info.from_addr,
                "accuracy": info.accuracy,
            }
            for info in block.model_info
        ],
        "transactions_root": header.transactions_root.hex(),
        "hash": header.hash.hex(),
        "nonce": header.nonce,
        "bytes": block.encode().hex(),
    }


def headers() -> Any:
    """A list of headers of each form, what they hash to, and what the first one stands on."""
    first = Genesis(1337, 2**250, ADDRESS, ()).block(1_700_000_000_000)
    second = seal(
        index=1,
        previous_hash=first.header.hash,
        timestamp=1_700_000_000_001,
        transactions=(b"\x02first",),
        model_info=(),
        difficulty=2**250,
    )
    parent, ethereum = keccak(b"a block"), []
    for number in (1, 2):
        # As RLP the first fields of a header (parent, uncles) and a number: a short one.
        items = b"".join(b"\xa0" + one for one in (parent, keccak(b"no uncles"))) + bytes([number])
        ethereum.append(bytes([0xF8, len(items)]) + items)
        parent = keccak(ethereum[-1])
    made = {"fedledger": [first.preimage(), second.preimage()], "ethereum": ethereum}
    return [
        {
            "form": form,
            "headers": [header.hex() for header in listed],
            "hashes": [one[2:] for one in linked(form, listed)],
        }
        for form, listed in made.items()
    ]


def lots() -> Any:
    """Seals, lists of updates, and where their lots fall."""
    accounts = [f"0x{number:040x}" for number in range(1, 4)]
    salts = [bytes([number + 1]) * 32 for number in range(3)]
    seals = [seal_of(account, salt) for account, salt in zip(accounts, salts, strict=True)]
    cids = [cid_to_bytes(cid_of(bytes([client]))) for client in range(3)]
    found = []
    for number, clients, silent in ((1, [0], []), (2, [0, 2], []), (5, [0, 1, 2], [1])):
        entries = tuple(Listed(accounts[one], one, cids[one], seals[one]) for one in clients)
        listed = UpdateList(7, number, entries, frozenset(silent))
        given = {who: salts[one.position] for who, one in listed.salters.items()}
        found.append(
            {
                "task": 7,
                "round": number,
                "updates": [
                    {
                        "client": one.position,
                        "account": one.client,
                        "cid": one.cid.hex(),
                        "seal": one.seal.hex(),
                        "salt": given[one.client].hex() if one.client in given else None,
                    }
                    for one in entries
                ],
                "list": listed.digest.hex(),
                "of": 3,
                "lot": listed.lot(given, 3),
            }
        )
    return found


def draws() -> Any:
    """Values, subjects and candidates, and who is chosen."""
    people = ["0x" + f"{n:02x}" * 20 for n in (7, 3, 9, 1, 5)]
    rounds = [round_party(2, number) for number in range(1, 13)]
    found = []
    for value, subject in ((bytes(range(32)), b"panel of round 3"), (b"\xff" * 32, b"")):
        found.append(
            {
                "value": value.hex(),
                "subject": subject.hex(),
                "candidates": people,
                "panel_of_3": panel(value, subject, people, 3),
                "weights": [str(one) for one in (1, 0, 5, 2**200, 2**200)],
                "leader": leader(value, subject, people, [1, 0, 5, 2**200, 2**200]),
                "parties": [one.hex() for one in rounds],
                "probability_ppm": 250_000,
                "spot": [one.hex() for one in spot(value, subject, rounds, 250_000)],
            }
        )
    return found


def ballots() -> Any:
    """Elections and the 32 bytes that their votes name."""
    base, *candidates = [cid_of(bytes([number])) for number in range(4)]
    cases = [(1, 1, []), (1, 2, candidates[:1]), (2**63, 10**6, candidates)]
    return [
        {
            "task": str(task),
            "round": number,
            "base": base,
            "candidates": named,
            "ballot": ballot_of(task, number, base, named).hex(),
        }
        for task, number, named in cases
    ]


def openings() -> Any:
    """Openings of sealed submissions: what they say, their bytes and CIDs."""
    account = Account.from_key(KEY)
    places = [Domain(1, ADDRESS, 1, 1), Domain(2**53 + 1, account.address, 2**63, 10**6)]
    cases = [Opening.of(account, place, cid_of(bytes([at]))) for at, place in enumerate(places)]
    return [
        {
            "chain": str(case.domain.chain_id),
            "contract": case.domain.contract,
            "task": str(case.domain.task),
            "round": case.domain.round,
            "account": case.account,
            "content": case.content,
            "salt": case.salt.hex(),
            "bytes": case.encode().hex(),
            "cid": case.cid,
        }
        for case in cases
    ]


def aggregation() -> Any:
    """Updates, and what every rule makes of them; the distances between them."""
    numbers = _numbers(11 * 20)
    plain = (numbers / 2.0**31 - 1).reshape(11, 20)
    levels = np.array([-1.0, -0.0, 0.0, 0.5, 1.0])
    long = (_numbers(7 * 1155) / 2.0**31 - 1).reshape(7, 1155)
    inputs = {
        "plain": plain,
        "every scale": np.ldexp(plain, (numbers % 260 - 140).reshape(11, 20)),
        "denormal": np.ldexp((numbers % 19 - 9.0).reshape(11, 20), -149),
        "ties and zeros": levels[numbers % 5].reshape(11, 20),
        "two segments and a tail": long,
        "the nearest hand round": np.array([[-(2.0**53), -1, -1, 2.0**53, 2.0**60, 0, 1]] * 2).T,
    }
    made = []
    for name, values in inputs.items():
        x = values.astype(np.float32)
        made.append(
            {
                "input": name,
                "updates": [hexed(row) for row in x],
                "distances": [hexed(row) for row in squared_distances(read_rows(x))],
                "results": [_result(rule, x, f, more) for rule, f, more in _calls(*x.shape)],
            }
        )
    return made


def _numbers(count: int) -> Any:
    """Return whole numbers below 2³², the same ones with any version of NumPy."""
    data = b"".join(sha256(str(k).encode()).digest() for k in range(-(-count // 8)))
    return np.frombuffer(data, "<u4", count).astype(np.int64)


def _calls(n: int, d: int) -> list[tuple[str, int, dict[str, Any]]]:
    f = (n - 3) // 4
    if d > 100:  # for its distances
        return [("multi_krum", f, {}), ("bulyan", f, {})]
    return [
        ("mean", 0, {}),
        ("mean", 0, {"weights": [1.0, 3.0, 0.1, *[7.0] * (n - 3)]}),
        ("median", f, {}),
        ("trimmed_mean", f, {}),
        ("trimmed_mean", 0, {}),
        ("krum", f, {}),
        ("multi_krum", f, {}),
        ("multi_krum", 0, {"keep": 2}),
        ("bulyan", f, {}),
        ("bulyan", (n - 3) // 2, {"strict": False}),
    ]


def _result(rule: str, x: Any, f: int, parameters: dict[str, Any]) -> dict[str, Any]:
    found = aggregate(rule, x, byzantine=f, **parameters)
    return {
        "rule": rule,
        "arithmetic": arithmetic(rule),
        "byzantine": f,
        "parameters": parameters,
        "selected": list(found.selected),
        "vector": hexed(found.vector),
    }


def documents() -> Any:
    """Values and their canonical JSON."""
    values = [
        {"b": 1, "a": [True, False, None, {}, []], "": ""},
        {"ü": 'q"\\\b\f\n\r\t\x01\x7f/é', "\U0001f600": "\U0001f600", "\uffff": "\u2028"},
        {"n": [0, -1, 2**53 + 1, -(2**63), 2**256]},
        [0.5, 1.0, 0.1, 0.0001, 2.5e-07, 1e-05, 1e15, 1e16, 1.5e300, -0.0, 5e-324, 1 / 3],
    ]
    return [{"value": value, "bytes": canonical_json(value).hex()} for value in values]


def statements() -> Any:
    """Statements of several types and places, and their signatures."""
    account = Account.from_key(bytes(range(1, 33)))
    cases = [
        (Statement("Ack", (("digest", "bytes32"),)), {"digest": bytes(range(32))}),
        (
            Statement("Terms", (("who", "address"), ("price", "uint256"), ("note", "string"))),
            {"who": account.address, "price": 2**200, "note": "für drei Runden"},
        ),
        (
            Statement("Raw", (("yes", "bool"), ("change", "int64"), ("raw", "bytes"))),
            {"yes": True, "change": -5, "raw": b"\0\1\2"},
        ),
    ]
    found = []
    for place in (Domain(31337, "0x" + "1a" * 20, 7, 3), Domain(2**63, "0x" + "00" * 20, 1, 1)):
        for statement, values in cases:
            digest = statement.digest(place, values)
            found.append(
                {
                    "chain_id": str(place.chain_id),
                    "contract": place.contract,
                    "task": place.task,
                    "round": place.round,
                    "type": statement.type,
                    "values": {
                        k: str(v) if type(v) is int else v for k, v in plain_values(values).items()
                    },
                    "separator": place.separator().hex(),
                    "digest": digest.hex(),
                    "signer": account.address,
                    "signature": account.sign_digest(digest).hex(),
                }
            )
    return found


SECTIONS = {
    "safetensors": safetensors,
    "updates": updates,
    "cid": cid,
    "transactions": transactions,
    "blocks": blocks,
    "headers": headers,
    "lots": lots,
    "draws": draws,
    "ballots": ballots,
    "openings": openings,
    "statements": statements,
    "documents": documents,
    "aggregation": aggregation,
    "paillier": examples_of_paillier,
    "threshold": threshold,
}


def text_of(section: str) -> str:
    """Return the file of a section as this library makes it now."""
    return json.dumps(SECTIONS[section](), indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in SECTIONS:
        (FOLDER / f"{name}.json").write_text(text_of(name))
