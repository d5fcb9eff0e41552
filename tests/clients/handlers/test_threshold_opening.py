"""A trainer and a hostile server that wants shares: of one list's sum, which enough have signed."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.encrypted import EncryptedFederation
from support.hostile_server import HostileServer

from fedledger.arrays import to_record
from fedledger.crypto.paillier import add, from_bytes
from fedledger.crypto.paillier.cores import here
from fedledger.crypto.threshold import combine, decode_numbers, lift
from fedledger.errors import AccountError, ConfigError, CryptoError, ModelError
from fedledger.ledger_plugins.contracts.threshold_keys.contents import (
    CIPHERTEXTS,
    ROOTS,
    SHARES,
    bytes_of,
    digits,
    packing_of,
)

CORES = here()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Five masked updates; four trainers have signed the list of all of them, and the fifth not."""
    federation = EncryptedFederation(tmp_path_factory.mktemp("opening"))
    server = HostileServer(federation)
    server.accepts(*range(5))
    server.learned = [0.125 * (one + 1) for one in range(5)]
    sent = [server.masked(one) for one in range(5)]
    yield SimpleNamespace(
        server=server,
        sent=sent,
        listed=server.list_of(*sent),
        signed=server.signatures(range(4), sent),
    )
    federation.close()


def without(signed, count):
    return dict(list(signed.items())[count:])


def test_enough_signatures_open_the_sum_and_nothing_but_the_sum(scene):
    """Three trainers' shares are of the weighted sum of the list: its mean is the plain one."""
    server, keys = scene.server, scene.server.keys
    shares = {
        one + 1: decode_numbers(
            "shares", keys, bytes_of(server.shares(one, scene.listed, scene.signed), SHARES), 2
        )
        for one in (0, 2, 3)
    }
    weights = scene.listed.weights(server.terms)
    batches = [from_bytes(keys.public, bytes_of(one.arrays, CIPHERTEXTS), 2) for one in scene.sent]
    product = add(keys.public, batches, weights)
    roots = combine(keys, product, shares, CORES)
    packing = packing_of(server.terms)
    sums = packing.unpack(lift(keys, product, roots, CORES).messages, 100, sum(weights))
    mean = packing.mean(sums, sum(weights))
    assert np.allclose(mean, np.mean(server.learned), atol=2**-15)
    with pytest.raises(CryptoError, match="do not fit"):  # and they open nothing else
        combine(keys, batches[4], shares, CORES)


def test_the_same_share_is_given_again_to_whoever_asks(scene):
    """Another leader, or the same one after a restart, gets the same numbers."""
    first, again = (scene.server.shares(1, scene.listed, scene.signed) for _ in range(2))
    assert np.array_equal(first[SHARES], again[SHARES])


SIGNATURES = {
    "nobody's": lambda _: {},
    "one fewer than the quorum's": lambda scene: without(scene.signed, 1),
    "one of them by the same trainer in another spelling": lambda scene: (
        without(scene.signed, 1) | {scene.server.federation.clients[3].lower(): last(scene)}
    ),
    "one of them twice, under two names": lambda scene: (
        without(scene.signed, 1) | {scene.server.federation.clients[4]: last(scene)}
    ),
    "one of them a stranger's": lambda scene: (
        without(scene.signed, 1) | {stranger(scene): forged(scene, "stranger")}
    ),
    "one of them a stranger's, under a trainer's name": lambda scene: (
        without(scene.signed, 1) | {scene.server.federation.clients[4]: forged(scene, "stranger")}
    ),
    "one of them of another list": lambda scene: (
        without(scene.signed, 1)
        | {scene.server.federation.clients[4]: scene.server.forged_signature(4, b"\1" * 32)}
    ),
    "one of them for another round": lambda scene: (
        without(scene.signed, 1) | {scene.server.federation.clients[4]: forged(scene, 4, number=2)}
    ),
    "one of them for another task": lambda scene: (
        without(scene.signed, 1) | {scene.server.federation.clients[4]: forged(scene, 4, task=2)}
    ),
    "one of them for another chain": lambda scene: (
        without(scene.signed, 1)
        | {scene.server.federation.clients[4]: forged(scene, 4, chain_id=1)}
    ),
    "one of them cut": lambda scene: (
        without(scene.signed, 1) | {scene.server.federation.clients[4]: last(scene)[:-2]}
    ),
    "one of them empty": lambda scene: (
        without(scene.signed, 1) | {scene.server.federation.clients[4]: ""}
    ),
}
"""Name of signatures that are too few to what they are."""


def last(scene):
    return list(scene.signed.values())[3]


def stranger(scene):
    return scene.server.federation.keys.account("stranger").address


def forged(scene, who, **where):
    return scene.server.forged_signature(who, scene.server.digest(scene.listed), **where)


@pytest.mark.parametrize("name", SIGNATURES)
def test_too_few_signatures_open_nothing(scene, name):
    """What does not hold is not counted, and nobody is counted twice: three are not four."""
    with pytest.raises(AccountError, match=r"[03] of 5 trainers have signed"):
        scene.server.shares(0, scene.listed, SIGNATURES[name](scene))


@pytest.mark.parametrize("given", [None, [], "x", {"a": 1}, {"a": "zz"}, {"a": None}], ids=str)
def test_what_are_no_signatures_is_called_none(scene, given):
    """JSON of any other form is an error of ours."""
    with pytest.raises(ConfigError, match="signature"):
        scene.server.ask(0, "shares", entries=scene.listed.plain(), signatures=given)


def test_enough_signatures_do_not_open_another_list(scene):
    """Neither with the first list's signatures, nor with a quorum's over the second list."""
    server = scene.server
    other = server.list_of(*scene.sent[:4])
    digest, clients = server.digest(other), server.federation.clients
    with pytest.raises(AccountError, match="0 of 5 trainers have signed the list"):
        server.shares(0, other, scene.signed)
    colluding = {clients[one]: server.forged_signature(one, digest) for one in range(5)}
    with pytest.raises(AccountError, match=r"ciphertext list of round 1 is \w+ already"):
        server.shares(0, other, colluding)


def test_who_was_never_asked_to_sign_gives_no_share(scene):
    """It has no product that it computed itself, and takes none: trainer 4 joins by the list."""
    server = scene.server
    with pytest.raises(AccountError, match="opens nothing that others say is the product"):
        server.shares(4, scene.listed, scene.signed)
    with pytest.raises(AccountError, match=r"ciphertext list of round 1 is \w+ already"):
        server.signatures([4], scene.sent[1:])
    server.signatures([4], scene.sent)
    assert server.shares(4, scene.listed, scene.signed)


def test_a_share_is_of_the_product_that_the_trainer_computed(scene):
    """A server that sends a product of its own gets the share of the true one."""
    server = scene.server
    honest = server.shares(2, scene.listed, scene.signed)
    alone = {"product": to_record({"product": scene.sent[1].arrays[CIPHERTEXTS]})}
    details = {"entries": scene.listed.plain(), "signatures": scene.signed}
    reply = server.ask(2, "shares", 1, alone, product="00", **details)
    [record] = reply.content.array_records.values()
    assert np.array_equal(record[SHARES].numpy(), honest[SHARES])


@pytest.mark.parametrize("change", ["cut", "a bit", "another product", "gone"])
def test_a_damaged_product_is_none(scene, change):
    """It is computed anew, once the list comes again; until then nothing is opened."""
    server = scene.server
    path = server.federation.keyring(3).folder / "product"
    honest, whole = server.shares(3, scene.listed, scene.signed), path.read_bytes()
    if change == "gone":
        path.unlink()
    elif change == "cut":
        path.write_bytes(whole[:-512])
    elif change == "a bit":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        path.write_bytes(whole[:64] + scene.sent[1].arrays[CIPHERTEXTS].tobytes())
    with pytest.raises(AccountError, match="has not computed the product"):
        server.shares(3, scene.listed, scene.signed)
    server.signatures([3], scene.sent)
    assert np.array_equal(server.shares(3, scene.listed, scene.signed)[SHARES], honest[SHARES])


def opened(scene, roots=None, who=0, **changes):
    server = scene.server
    details = {
        "entries": scene.listed.plain(),
        "openers": [server.federation.clients[one] for one in (0, 2, 3)],
    }
    records = None if roots is None else {ROOTS: to_record({ROOTS: roots})}
    return server.ask(who, "opened", 1, records, **(details | changes))


def test_what_are_no_roots_of_the_sum_is_not_lifted(scene):
    """Zeros, ones, another ciphertext's, too few, too wide, none: a trainer computes nothing."""
    width = scene.server.keys.width
    for number in (0, 1, scene.server.keys.public.n):
        with pytest.raises(CryptoError, match="root"):
            opened(scene, digits([number] * 2, width))
    for roots in (digits([1], width), digits([1, 1], width + 1)):
        with pytest.raises(ModelError):
            opened(scene, roots)
    with pytest.raises(ModelError, match="no roots of the sum"):
        opened(scene)


@pytest.mark.parametrize(
    ("openers", "says"),
    [
        (None, "asks this trainer for no part"),
        ("all", "asks this trainer for no part"),
        ([], "asks this trainer for no part"),
        (["0x" + "1" * 40], "asks this trainer for no part"),
    ],
    ids=str,
)
def test_a_part_is_asked_for_by_its_openers(scene, openers, says):
    """Who is not among them has nothing to lift."""
    with pytest.raises(ConfigError, match=says):
        opened(scene, digits([1, 1], scene.server.keys.width), openers=openers)


def test_no_more_openers_than_trainers(scene):
    """A list of a thousand is none: parts would be empty."""
    openers = [scene.server.federation.clients[0]] * 6
    with pytest.raises(ConfigError, match="more than there are trainers"):
        opened(scene, digits([1, 1], scene.server.keys.width), openers=openers)
