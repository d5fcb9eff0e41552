"""Snapshots: a chain opens from one as it opens from its blocks, and nobody has to believe it."""

import hashlib
from pathlib import Path

import msgpack
import pytest

from fedledger.errors import ChainCorrupted
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.contracts.stake_token.facade import StakeToken
from fedledger.ledger_plugins.local.chain import chain
from fedledger.ledger_plugins.local.disk import snapshot
from fedledger.ledger_plugins.storage.cid import cid_of

OWNER, ANN = Account.create(), Account.create()
CID = cid_of(b"a model")


@pytest.fixture
def url(tmp_path, monkeypatch):
    """The URL of a chain whose newest block is 12 and whose snapshot is of block 8."""
    monkeypatch.setattr("fedledger.ledger_plugins.local.ledger.SNAPSHOT_AFTER", 8)
    url = f"local://{tmp_path}/chain.db"
    with open_ledger(url, admin=OWNER.address) as ledger:
        StakeToken(ledger).mint(OWNER, ANN.address, 2**255)
        work(ledger, 7)
    with open_ledger(url) as ledger:
        work(ledger, 4)
    return url


def work(ledger, count):
    tasks = TrainingTask(ledger)
    for number in range(count):
        tasks.propose(
            OWNER, model_id=f"m{number}", model_cid=CID, rounds=2, window=0, reward=3, spec=CID
        )


def seen(ledger):
    """Everything a user of the ledger can see."""
    tasks = TrainingTask(ledger)
    events = [ledger.events(name) for name in ("StakeToken", "TrainingTask")]
    transactions = [ledger.transaction(event.transaction).raw for event in events[1]]
    balances = [StakeToken(ledger).balance(one.address) for one in (OWNER, ANN)]
    calls = [ledger.transactions_of(one.address) for one in (OWNER, ANN)]
    nonces = [ledger.nonce(one.address) for one in (OWNER, ANN)]
    every = [tasks.task(number) for number in range(1, tasks.count() + 1)]
    return ledger.head(), events, transactions, calls, balances, nonces, every


def rewritten(path, change):
    """Change a snapshot's content and make its checksum fit."""
    data = path.read_bytes()
    start = len(snapshot._MAGIC) + 32
    content = msgpack.unpackb(
        data[start:], use_list=False, strict_map_key=False, ext_hook=snapshot._unpack_wide
    )
    change(content)
    packed = msgpack.packb(content, default=snapshot._pack_wide)
    path.write_bytes(snapshot._MAGIC + hashlib.sha256(packed).digest() + packed)


def of(url):
    return snapshot.snapshot_path(Path(url.removeprefix("local://")))


def test_only_what_came_after_the_snapshot_is_executed(url, monkeypatch):
    """With it 4 of 12 blocks are run where the chain is written; readers run all of them."""
    executed = []
    extend = chain.Chain.extend

    def extending(self, block):
        executed.append(block)
        extend(self, block)

    monkeypatch.setattr(chain.Chain, "extend", extending)
    with open_ledger(url) as ledger:
        quick = seen(ledger)
        assert [block.header.index for block in executed] == [9, 10, 11, 12]
        ledger.verify()
    of(url).unlink()
    executed.clear()
    with open_ledger(url, read_only=True) as ledger:
        assert seen(ledger) == quick
    assert len(executed) == 12


def test_work_goes_on_from_a_snapshot(url):
    """Nonces, tokens and tasks continue, and the chain still verifies."""
    with open_ledger(url) as ledger:
        work(ledger, 1)
        assert TrainingTask(ledger).count() == 12
        ledger.verify()


def test_a_crash_leaves_the_old_snapshot_or_none(url):
    """Opening after much unsaved work writes one; a half-written draft is of no matter."""
    of(url).write_bytes(b"half")
    of(url).with_name(of(url).name + ".new").write_bytes(b"half")
    with open_ledger(url) as ledger:
        expected = seen(ledger)
        assert len(of(url).read_bytes()) > 1000
    with open_ledger(url) as ledger:
        assert seen(ledger) == expected


@pytest.mark.parametrize("at", [0, 30, 60, -1])
def test_a_damaged_snapshot_is_not_used(url, at):
    """A flipped byte anywhere: the blocks alone count."""
    with open_ledger(url, read_only=True) as ledger:
        expected = seen(ledger)
    data = bytearray(of(url).read_bytes())
    data[at] ^= 1
    of(url).write_bytes(data)
    with open_ledger(url, read_only=True) as ledger:
        assert seen(ledger) == expected
        ledger.verify()


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.clear(),
        lambda content: content.update(index=-1),
        lambda content: content.update(index="x"),
        lambda content: content.update(index=2**70),
        lambda content: content.update(state=None),
        lambda content: content.update(events=[(1,)]),
        lambda content: content.update(blocks={}),
        lambda content: content.update(places=7),
    ],
)
def test_a_snapshot_that_makes_no_sense_is_not_used(url, change):
    """Whatever stands in it under a right checksum: the blocks alone count, for its writer too."""
    with open_ledger(url, read_only=True) as ledger:
        expected = seen(ledger)
    rewritten(of(url), change)
    for read_only in (True, False):
        with open_ledger(url, read_only=read_only) as ledger:
            assert seen(ledger) == expected
            ledger.verify()


@pytest.mark.parametrize("field", ["genesis", "hash"])
def test_a_snapshot_of_another_chain_is_not_used(url, field):
    """It must stand on a block of this file."""
    with open_ledger(url, read_only=True) as ledger:
        expected = seen(ledger)
    rewritten(of(url), lambda content: content.update({field: bytes(32)}))
    with open_ledger(url, read_only=True) as ledger:
        assert seen(ledger) == expected


def test_forged_times_and_senders_fail_the_verification(url):
    """When something happened, and who did it, is compared, too."""
    original = of(url).read_bytes()

    def later(content):
        content["blocks"] = {at: (0, hash_) for at, (_, hash_) in content["blocks"].items()}

    def other(content):
        content["senders"] = [ANN.address for _ in content["senders"]]

    for forge in (later, other):
        of(url).write_bytes(original)
        rewritten(of(url), forge)
        with open_ledger(url) as ledger, pytest.raises(ChainCorrupted, match="snapshot"):
            ledger.verify()
        with open_ledger(url, read_only=True) as ledger:
            ledger.verify()


def test_a_forged_snapshot_fails_the_verification(url):
    """It shows no reader a balance that is none, and its writer's `verify` finds it."""

    def forge(content):
        token = content["state"]["contracts"]["StakeToken"]
        [key] = [key for key in token if ANN.address in key and token[key] == 2**255]
        token[key] = 7

    rewritten(of(url), forge)
    with open_ledger(url, read_only=True) as reader:
        assert StakeToken(reader).balance(ANN.address) != 7
    with open_ledger(url) as ledger:
        assert StakeToken(ledger).balance(ANN.address) == 7
        with pytest.raises(ChainCorrupted, match="snapshot"):
            ledger.verify()
