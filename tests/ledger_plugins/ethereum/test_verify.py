"""`verify` against nodes that do not tell the truth: one altered answer each."""

import secrets
from contextlib import closing
from copy import deepcopy
from urllib.parse import quote

import pytest
import rlp
from support.anvil import Anvil
from trie.hexary import HexaryTrie

from fedledger.effects.real import SystemClock, SystemDisk
from fedledger.errors import ChainCorrupted, LedgerUnavailable
from fedledger.experiments.report.audit import audit_urls
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.ethereum import Deployment, deploy
from fedledger.ledger_plugins.ethereum.rpc.http import HttpProvider
from fedledger.ledger_plugins.ethereum.rpc.node import Node
from fedledger.ledger_plugins.ethereum.rpc.tester import local_node
from fedledger.ledger_plugins.ethereum.verifying.chain import verify_chain
from fedledger.ledger_plugins.ethereum.verifying.headers import trie_root
from fedledger.ledger_plugins.storage.cid import cid_of

CID = cid_of(b"a model")
OTHER_HASH = "0x" + "11" * 32
QBFT = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"
RECEIPTS = ("eth_getBlockReceipts", "eth_getTransactionReceipt")

HEADER = [
    *("sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom"),
    *("difficulty", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"),
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas"),
    *("parentBeaconBlockRoot", "requestsHash", "hash", "parentHash", "number"),
]


class Liar:
    """A provider between us and a node that alters the node's answers.

    Args:
        provider: the node's.
        alter: called with method and result; what it leaves in the result is answered.
    """

    def __init__(self, provider, alter):
        self.provider = provider
        self.alter = alter

    def make_request(self, method, params):
        answer = deepcopy(self.provider.make_request(method, params))
        self.alter(method, answer.get("result"))
        return answer

    def make_batch_request(self, requests, /):
        return [self.make_request(*request) for request in requests]


class Chain:
    """A chain with three calls after the deployment, the second one in block `index`."""

    def __init__(self, url, provider, deployment_of):
        account = Account.create()
        with open_ledger(url) as ledger:
            tasks = TrainingTask(ledger)
            blocks = []
            for _ in range(3):
                _, receipt = tasks.propose(
                    account, model_id="m", model_cid=CID, rounds=1, spec=CID, reward=0
                )
                blocks.append(receipt.block)
            assert ledger.verify() is None
        self.index = blocks[1]
        self.provider = provider
        self.deployment = deployment_of()

    def verify(self, alter):
        return verify_chain(
            Node(Liar(self.provider, alter), "a liar", 10, SystemClock()), self.deployment
        )

    def block(self, change):
        """Verify with block `index` changed."""

        def alter(method, result):
            if method == "eth_getBlockByNumber" and int(result["number"], 16) == self.index:
                change(result)

        return self.verify(alter)

    def said(self, change, *methods):
        """Verify with the receipt or log of the call in block `index` changed."""

        def alter(method, result):
            if method not in methods or result is None:
                return
            found = result if isinstance(result, list) else [result]
            for one in [*found]:
                if int(one["blockNumber"], 16) == self.index:
                    change(one, found)

        return self.verify(alter)

    def log(self, change, *methods):
        """Verify with the log of that call changed, wherever these methods say it."""

        def inside(one, found):
            if "logs" in one:
                change(one["logs"][0], one["logs"])
            else:
                change(one, found)

        return self.said(inside, *methods)


@pytest.fixture(scope="module", params=["tester", "anvil"])
def chain(request, tmp_path_factory):
    """A chain on py-evm and on anvil."""
    if request.param == "tester":
        name = secrets.token_hex(8)
        node = local_node(name, SystemClock())
        yield Chain(f"ethereum+tester://{name}", node, lambda: node.deployment)
        return
    folder = tmp_path_factory.mktemp("anvil")
    file = folder / "deployment.json"
    with (
        Anvil(folder) as anvil,
        closing(HttpProvider(anvil.url, anvil.url, 10, SystemClock())) as provider,
    ):
        url = f"ethereum+{anvil.url}?deployment={quote(str(file))}"
        deploy(url)
        yield Chain(url, provider, lambda: Deployment.load(file, SystemDisk()))


def other(value):
    """Return another value of the same form."""
    if value == "0x":
        return "0x01"
    return value[:-1] + ("1" if value[-1] != "1" else "2")


def corrupted(chain, verify, change, *methods, match=None):
    with pytest.raises(ChainCorrupted, match=match) as caught:
        verify(change, *methods)
    assert caught.value.block == chain.index


@pytest.mark.parametrize("field", HEADER)
def test_an_altered_header_is_found(chain, field):
    """Each field of a header is in its hash; the block is named."""
    corrupted(chain, chain.block, lambda block: block.update({field: other(block[field])}))


def test_a_header_without_a_fork_s_field_is_found(chain):
    """A field that is left out changes the hash as well."""
    corrupted(chain, chain.block, lambda block: block.pop("requestsHash"), match="its hash is")


@pytest.mark.parametrize("field", ["status", "cumulativeGasUsed", "logsBloom", "type"])
def test_an_altered_receipt_is_found(chain, field):
    """What a receipt says is in the root that its block's header has."""

    def change(receipt, _):
        receipt[field] = other(receipt[field])

    corrupted(chain, chain.said, change, *RECEIPTS, match="root of its receipts")


@pytest.mark.parametrize(
    "change",
    [
        lambda log, _: log.update(address="0x" + "11" * 20),
        lambda log, _: log.update(data=other(log["data"])),
        lambda log, _: log["topics"].append(OTHER_HASH),
        lambda log, _: log.update(topics=[*log["topics"][:2], other(log["topics"][2])]),
        lambda log, _: log.update(logIndex="0x1"),
        lambda log, logs: logs.remove(log),
        lambda log, logs: logs.append({**log, "logIndex": "0x1"}),
    ],
)
def test_a_log_altered_everywhere_is_found(chain, change):
    """Logs and receipts that agree with each other, but not with the header, are found."""
    corrupted(chain, chain.log, change, *RECEIPTS, "eth_getLogs")


@pytest.mark.parametrize("field", ["address", "data", "logIndex", "transactionHash", "blockHash"])
def test_a_log_that_is_not_its_receipts_is_found(chain, field):
    """Logs alone, altered or left out."""
    other_contract = chain.deployment.addresses["StakeToken"].lower()
    values = {"address": other_contract, "logIndex": "0x1"}

    def change(log, _):
        log[field] = values.get(field, other(log[field]))

    corrupted(chain, chain.log, change, "eth_getLogs", match="its logs are")
    left_out = lambda log, logs: logs.remove(log)  # noqa: E731 - as above
    corrupted(chain, chain.log, left_out, "eth_getLogs", match="its logs are")


def test_transactions_without_receipts_are_found(chain):
    """A block that names another transaction has no receipts that fit."""

    def change(block):
        block["transactions"] = [OTHER_HASH]

    corrupted(chain, chain.block, change, match="receipts")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda block: block.update(seal="0x1", stateRoot=OTHER_HASH), "unknown fields: seal"),
        (lambda block: block.pop("stateRoot"), "the node leaves out stateRoot"),
        (lambda block: block.update(mixHash=QBFT), "IBFT and QBFT"),
    ],
)
def test_headers_of_another_kind_are_no_false_alarm(chain, change, said):
    """Where the chain makes hashes in another way, verify says what it could not check."""
    caveat = chain.block(change)
    assert caveat is not None
    assert said in caveat
    assert f"in 1 blocks since {chain.index}" in caveat


def test_a_field_beside_the_header_changes_nothing(chain):
    """What a node says in addition is no reason to doubt a hash that can be recomputed."""
    assert chain.block(lambda block: block.update(l1BlockNumber="0x1")) is None


def test_receipts_of_another_kind_are_no_false_alarm(chain):
    """A receipt of a type that Ethereum does not have is not recomputed, and that is said."""
    caveat = chain.said(lambda receipt, _: receipt.update(type="0x7e"), *RECEIPTS)
    assert "receipts of the unknown type 0x7e" in str(caveat)


def test_the_audit_hands_on_what_was_not_checked(tmp_path, monkeypatch):
    """A ledger whose hashes cannot be recomputed passes with a caveat, others without one."""
    name = secrets.token_hex(8)
    url, store = f"ethereum+tester://{name}", f"file://{tmp_path}/store"
    open_ledger(url).close()
    with open_store(store) as contents:
        contents.put(b"something")
    assert audit_urls(url, store).ledgers[0].caveat is None
    node = local_node(name)
    asked = node._eth_getBlockByNumber

    def newer(number, full):
        block = asked(number, full)
        return {**block, "seal": "0x1", "stateRoot": OTHER_HASH}

    monkeypatch.setattr(node, "_eth_getBlockByNumber", newer)
    audit = audit_urls(url, store)
    assert audit.reason == "there is no round to check"
    assert "unknown fields: seal" in audit.to_json()["ledgers"][0]["caveat"]


@pytest.mark.parametrize("value", ["-0x1", "many", 7, None])
def test_a_number_that_is_none_is_a_clear_error(chain, value):
    """A node that sends nonsense is named as such, without a traceback of something else."""

    def change(receipt, _):
        receipt["cumulativeGasUsed"] = value

    with pytest.raises(LedgerUnavailable, match="where a number belongs"):
        chain.said(change, *RECEIPTS)


@pytest.mark.parametrize("number", [0, 1, 2, 16, 127, 128, 129, 300])
def test_roots_are_those_of_an_incremental_trie(number):
    """The root made at once is the one of the library that py-evm takes, for any number."""
    values = [secrets.token_bytes(1 + index * index % 77) for index in range(number)]
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    assert trie_root(values) == trie.root_hash
