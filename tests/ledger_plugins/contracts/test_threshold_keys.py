"""ThresholdKeys in Python: what was published comes back whole, on every ledger, or is refused."""

from dataclasses import replace
from functools import partial
from hashlib import sha256

import pytest
from support.deployments import in_process
from support.threshold import scene

from fedledger.crypto.paillier import PublicKey
from fedledger.crypto.threshold import MOST_TRAINERS
from fedledger.crypto.threshold import ThresholdKeys as Keys
from fedledger.errors import CallError, ChainCorrupted, ContractError, LedgerUnavailable
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken, ThresholdKeys
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, CHAIN_ONLY
from fedledger.ledger_plugins.contracts.threshold_keys import facade
from fedledger.ledger_plugins.contracts.threshold_keys.calls import ACCEPT_KEYS
from fedledger.ledger_plugins.contracts.threshold_keys.twin import MAX_KEYS, MAX_TRAINERS
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.ethereum.deployment import deploying
from fedledger.ledger_plugins.ethereum.sending.fees import gas_limit
from fedledger.ledger_plugins.growing import grow
from fedledger.ledger_plugins.local.chain.genesis import Genesis

SCENE = scene()
DEALER, EVE, *TRAINERS = (Account.from_key(bytes([7, n]) * 16) for n in range(7))
ADDRESSES = [one.address for one in TRAINERS]
PUBLIC = SCENE.keys.encode()
DIGEST = SCENE.keys.digest
LAST = (1 << 256) - 1


@pytest.fixture(params=["local", "ethereum"])
def ledger(request, tmp_path):
    local = request.param == "local"
    url = f"local://{tmp_path}/chain.db" if local else in_process()
    if not local:
        deploy(url)
    with open_ledger(url) as ledger:
        yield ledger


@pytest.fixture
def keys(ledger):
    """The façade; the dealer has published the scene's keys."""
    keys = ThresholdKeys(ledger)
    keys.publish_keys(DEALER, trainers=ADDRESSES, threshold=3, keys=PUBLIC)
    return keys


def accept(keys, trainer, **changed):
    call = {"task": 1, "round": 1, "dealer": DEALER.address, "digest": DIGEST}
    return keys.accept_keys(trainer, **call | changed)


def test_published_keys_come_back_whole(keys):
    """The trainers in their order, and bytes that decode to the keys that were dealt."""
    published = keys.published(DEALER.address, DIGEST)
    assert published is not None
    assert list(published.trainers) == ADDRESSES
    assert (published.dealer, published.threshold) == (DEALER.address, 3)
    assert Keys.decode(published.keys, toy=True) == SCENE.keys
    assert published.digest == SCENE.keys.digest
    assert keys.keys_of(DEALER.address, DIGEST) == (3, 5, published.block)
    numbers = [keys.trainer_number(DEALER.address, DIGEST, one) for one in ADDRESSES]
    assert numbers == [1, 2, 3, 4, 5]
    assert keys.trainer_number(DEALER.address, DIGEST, DEALER.address) == 0
    assert keys.published(DEALER.address.lower(), DIGEST) == published


def test_keys_that_were_not_published_are_none(keys):
    """Neither another dealer's, nor others of this one."""
    assert keys.published(EVE.address, DIGEST) is None
    assert keys.published(DEALER.address, bytes(32)) is None
    assert keys.acceptance(1, ADDRESSES[0]) is None


def test_a_copy_of_keys_is_its_makers_own(keys):
    """Whoever publishes the same bytes for others changes nothing of the dealer's."""
    keys.publish_keys(EVE, trainers=[EVE.address, ADDRESSES[0]], threshold=2, keys=PUBLIC)
    mine, hers = (keys.published(one.address, DIGEST) for one in (DEALER, EVE))
    assert mine is not None
    assert hers is not None
    assert (len(mine.trainers), len(hers.trainers)) == (5, 2)
    accept(keys, TRAINERS[0])
    assert keys.acceptance(1, ADDRESSES[0]) == (DEALER.address, DIGEST, 1)


def test_acceptances_are_read_and_strangers_are_passed_over(keys):
    """Those of the trainers asked for, in order; the newest round of each counts."""
    keys.publish_keys(EVE, trainers=[EVE.address, DEALER.address], threshold=2, keys=b"mine")
    accept(keys, TRAINERS[1])
    accept(keys, EVE, dealer=EVE.address, digest=sha256(b"mine").digest())
    accept(keys, TRAINERS[0])
    accept(keys, TRAINERS[1], round=2)
    accept(keys, TRAINERS[2], task=2)
    assert [(one.trainer, one.round) for one in keys.acceptances(1, ADDRESSES)] == [
        (ADDRESSES[1], 1),
        (ADDRESSES[0], 1),
        (ADDRESSES[1], 2),
    ]
    everybody = keys.acceptances(1)
    assert [one.trainer for one in everybody if one.dealer == EVE.address] == [EVE.address]
    later = keys.acceptances(1, ADDRESSES, since=everybody[2].block)
    assert [one.trainer for one in later] == ADDRESSES[:2]
    second = keys.acceptances(1, ADDRESSES, round=2)
    assert [(one.trainer, one.round) for one in second] == [(ADDRESSES[1], 2)]
    assert keys.acceptances(1, []) == []
    assert len(keys.acceptances(1, [ADDRESSES[1].lower()])) == 2
    assert keys.acceptance(1, ADDRESSES[1]) == (DEALER.address, DIGEST, 2)


def test_a_call_is_found_by_what_it_was_signed_with(keys, ledger):
    """The event repeats the call under the same names: so rounds find what the ledger has."""
    values = {"task": 1, "round": 4, "dealer": DEALER.address, "digest": DIGEST}
    assert ACCEPT_KEYS.decode(ACCEPT_KEYS.encode(values)) == values
    named = (ACCEPT_KEYS.contract, ACCEPT_KEYS.function)
    call = ledger.prepare(ADDRESSES[0], *named, *values.values())
    assert call.data == ACCEPT_KEYS.encode(values)
    ledger.transact(TRAINERS[0].sign(call))
    wanted = {"task": 1, "round": 4, ACCEPT_KEYS.party: ADDRESSES}
    [event] = ledger.matching(ACCEPT_KEYS.contract, ACCEPT_KEYS.event, wanted)
    assert event.arguments == values | {ACCEPT_KEYS.party: ADDRESSES[0]}


def test_refusals_name_their_error_and_values(keys):
    """A façade's caller reads why, in the contract's words."""
    accept(keys, TRAINERS[0])
    for trainer, changed, error in (
        (EVE, {}, "NotTrainer"),
        (TRAINERS[0], {}, "AlreadyAccepted"),
        (TRAINERS[0], {"task": 2}, "KeysServeAnotherTask"),
        (TRAINERS[1], {"digest": bytes(32)}, "UnknownKeys"),
    ):
        with pytest.raises(ContractError, match=error):
            accept(keys, trainer, **changed)
    with pytest.raises(ContractError, match="KeysAlreadyPublished"):
        keys.publish_keys(DEALER, trainers=ADDRESSES, threshold=3, keys=PUBLIC)
    with pytest.raises(CallError, match="digest"):
        accept(keys, TRAINERS[1], digest=b"short")


@pytest.mark.parametrize("trainers", [2, MAX_TRAINERS])
def test_the_longest_keys_fit_every_ledger(ledger, trainers):
    """64 KiB for two trainers or 64: the gas limit and every size on the way are enough."""
    keys, whole = ThresholdKeys(ledger), b"\xff" * MAX_KEYS
    some = ["0x" + f"{n:040x}" for n in range(1, trainers + 1)]
    keys.publish_keys(DEALER, trainers=some, threshold=trainers, keys=whole)
    published = keys.published(DEALER.address, sha256(whole).digest())
    assert published is not None
    assert published.keys == whole
    with pytest.raises(ContractError, match="InvalidKeysLength"):
        keys.publish_keys(DEALER, trainers=some, threshold=trainers, keys=whole + b"x")


def test_all_keys_that_can_be_dealt_fit():
    """64 trainers, the largest modulus and the next security level are within the caps."""
    assert MAX_TRAINERS == MOST_TRAINERS

    def size(bits):
        public = PublicKey(bits, (1 << bits) - 1, 1)
        return len(Keys(public, 33, 1, (1,) * MOST_TRAINERS).encode())

    assert size(3072) == 26_174
    assert size(7680) <= MAX_KEYS < size(8192)


def test_gas_follows_from_the_bytes():
    """Long keys ask for more gas than short ones, as calldata costs, within what a call may."""
    few = ADDRESSES[:2]
    short, long = (
        gas_limit("ThresholdKeys", "publishKeys", (few, 2, bytes(size))) for size in (99, MAX_KEYS)
    )
    assert short + 40 * MAX_KEYS < long <= 1 << 24


# Ledgers that say what is not so ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (None, LedgerUnavailable, "does not show the keys .* try again"),
        ({"keys": b"other keys"}, ChainCorrupted, "have another SHA-256"),
        ({"threshold": 4}, ChainCorrupted, "are not of 3 of 5"),
        ({"trainers": ()}, ChainCorrupted, "are not of 3 of 5"),
    ],
)
def test_other_keys_than_the_ledger_vouches_for_are_refused(
    keys, monkeypatch, changed, error, message
):
    """Bytes are the digest's, the list and the threshold are the contract's, or none is given."""
    ledger = keys.ledger
    [event] = ledger.events("ThresholdKeys", "KeysPublished")

    def matching(*_args, **_options):
        if changed is None:
            return []
        return [replace(event, arguments={**event.arguments, **changed})]

    monkeypatch.setattr(type(ledger), "matching", matching)
    with pytest.raises(error, match=message):
        keys.published(DEALER.address, DIGEST)


# Ledgers that were there before -----------------------------------------------------------------

BEFORE = tuple(name for name in BUILT_IN if name != facade.ThresholdKeys.contract)


def test_an_older_chain_gains_the_contract(tmp_path, monkeypatch):
    """Without it calls are refused with what adds it; with it they go, and all else stays."""
    url, admin = f"local://{tmp_path}/chain.db", Account.create()
    with monkeypatch.context() as older:
        older.setattr(Genesis, "new", partial(Genesis.new, contracts=(*BEFORE, *CHAIN_ONLY)))
        with open_ledger(url, admin=admin.address) as ledger:
            StakeToken(ledger).mint(admin, EVE.address, 5)
    with open_ledger(url) as ledger:
        assert "ThresholdKeys" not in ledger.contracts()
        said = r"unknown contract 'ThresholdKeys': this chain has .*deploy --contract ThresholdKeys"
        refused(ThresholdKeys(ledger), said)
        added = [one.name for one in grow(ledger, admin) if one.created]
        assert added == ["ThresholdKeys"]
        uses(ledger)
        ledger.verify()
    with open_ledger(url, read_only=True) as again:
        again.verify()
        assert StakeToken(again).balance(EVE.address) == 5
        assert ThresholdKeys(again).acceptance(1, ADDRESSES[0]) is not None


def test_an_older_deployment_gains_the_contract(monkeypatch):
    """On Ethereum `deploy` adds it alone, by whoever pays: it holds no role."""
    url, admin = in_process(), Account.create()
    with monkeypatch.context() as older:
        older.setattr(deploying, "BUILT_IN", BEFORE)
        deploy(url, admin=admin.address)
    with open_ledger(url) as ledger:
        assert list(ledger.contracts()) == list(BEFORE)
        said = r"ThresholdKeys is not deployed here, .*`fedledger deploy --contract ThresholdKeys`"
        refused(ThresholdKeys(ledger), said)
    assert deploy(url).granted == {"ThresholdKeys": ()}
    with open_ledger(url) as ledger:
        assert list(ledger.contracts()) == [*BEFORE, facade.ThresholdKeys.contract]
        uses(ledger)


def refused(keys, said):
    for attempt in (
        lambda: keys.publish_keys(DEALER, trainers=ADDRESSES, threshold=3, keys=PUBLIC),
        lambda: accept(keys, TRAINERS[0]),
        lambda: keys.published(DEALER.address, DIGEST),
        lambda: keys.acceptances(1, ADDRESSES),
    ):
        with pytest.raises(CallError, match=said):
            attempt()


def uses(ledger):
    keys = ThresholdKeys(ledger)
    keys.publish_keys(DEALER, trainers=ADDRESSES, threshold=3, keys=PUBLIC)
    accept(keys, TRAINERS[0])
    assert [one.trainer for one in keys.acceptances(1)] == ADDRESSES[:1]


def test_the_largest_numbers_outlive_a_snapshot(tmp_path, monkeypatch):
    """A task and a round of 256 bits are in the state that a chain is opened with."""
    monkeypatch.setattr("fedledger.ledger_plugins.local.ledger.SNAPSHOT_AFTER", 1)
    url = f"local://{tmp_path}/chain.db"
    with open_ledger(url) as ledger:
        keys = ThresholdKeys(ledger)
        keys.publish_keys(DEALER, trainers=ADDRESSES, threshold=3, keys=PUBLIC)
        accept(keys, TRAINERS[0], task=LAST, round=LAST)
    assert list(tmp_path.glob("*.snapshot"))
    with open_ledger(url) as again:
        keys = ThresholdKeys(again)
        assert keys.acceptance(LAST, ADDRESSES[0]) == (DEALER.address, DIGEST, LAST)
        with pytest.raises(ContractError, match="KeysServeAnotherTask"):
            accept(keys, TRAINERS[0])
        again.verify()
