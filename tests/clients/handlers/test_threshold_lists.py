"""A trainer and lists of a hostile server: what is signed, what is not, and never a second one."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.encrypted import EncryptedFederation
from support.hostile_server import HostileServer

from fedledger.crypto.paillier import from_bytes
from fedledger.crypto.threshold import prove_plaintexts
from fedledger.effects import Effects
from fedledger.errors import AccountError, ConfigError, CryptoError, ModelError
from fedledger.ledger_plugins.contracts.threshold_keys.contents import (
    CIPHERTEXTS,
    PROOF,
    bytes_of,
    row,
    transcript_of,
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Five trainers that accepted the keys and have masked; trainer 0 has signed no list yet."""
    federation = EncryptedFederation(tmp_path_factory.mktemp("lists"))
    server = HostileServer(federation)
    server.accepts(*range(5))
    sent = [server.masked(one) for one in range(5)]
    whole, server.model = server.model, {"layer": np.zeros(200, np.float32)}
    longer = server.masked(4, asked="for another model")
    server.model = whole
    yield SimpleNamespace(server=server, sent=sent, longer=longer)
    federation.close()


@pytest.fixture
def server(tmp_path):
    """A server whose trainers accepted the keys."""
    federation = EncryptedFederation(tmp_path)
    server = HostileServer(federation)
    server.accepts(*range(5))
    yield server
    federation.close()


def entry(scene, who=4, **changes):
    """The honest updates, one of whose entries says something else."""
    sent = list(scene.sent)
    sent[who] = replace(sent[who], entry=replace(sent[who].entry, **changes))
    return sent


def forged(scene, arrays, who=4, **changes):
    """The honest updates, but of a trainer that signs other arrays."""
    sent = list(scene.sent)
    sent[who] = scene.server.forged_entry(who, arrays, **changes)
    return sent


def copied(scene):
    """Trainer 4 signs trainer 0's ciphertexts, proof and all, and trainer 0 is left out."""
    return forged(scene, scene.sent[0].arrays)[1:]


def copied_with_a_proof_of_its_own(scene):
    """Trainer 4 signs trainer 0's ciphertexts, and proves what it makes up about them."""
    server, arrays = scene.server, scene.sent[0].arrays
    keys, account = server.keys, server.federation.clients[4]
    numbers = from_bytes(keys.public, bytes_of(arrays, CIPHERTEXTS), 2)
    transcript = transcript_of(server.domain(), account, server.terms, keys)
    entropy = Effects.real().entropy
    proof = prove_plaintexts(keys.public, numbers, [1, 2], [3, 4], transcript, entropy=entropy)
    return forged(scene, {**arrays, PROOF: row(proof.encode(keys.public))})


def changed(name, change):
    """Trainer 4 signs its update with an array changed."""

    def make(scene):
        arrays = scene.sent[4].arrays
        return forged(scene, {**arrays, name: change(arrays[name].copy())})

    return make


def zeros(array):
    array[0] = 0
    return array


NOT_SIGNED = "is not signed by it for this round"
OF = "masked update of"

LISTS = {
    "below the floor": (lambda scene: scene.sent[:3], AccountError, "fewer than 4 is not opened"),
    "nobody": (lambda _: [], AccountError, "the list has 0 updates"),
    "a fifth one twice": (
        lambda scene: [*scene.sent, scene.sent[4]],
        AccountError,
        "names a trainer twice",
    ),
    "three, one of them twice": (
        lambda scene: [*scene.sent[:3], scene.sent[2]],
        AccountError,
        "names a trainer twice",
    ),
    "another order": (lambda scene: scene.sent[::-1], AccountError, "not in the task's order"),
    "a stranger": (
        lambda scene: [*scene.sent, scene.server.forged_entry("x", scene.sent[4].arrays)],
        AccountError,
        "is no trainer of the task",
    ),
    "other samples": (lambda scene: entry(scene, samples=11), AccountError, NOT_SIGNED),
    "another content": (
        lambda scene: entry(scene, cid=scene.longer.entry.cid),
        AccountError,
        NOT_SIGNED,
    ),
    "a signature of zeros": (
        lambda scene: entry(scene, signature=bytes(65)),
        AccountError,
        "MaskedUpdate of",
    ),
    "no signature": (
        lambda scene: entry(scene, signature=b""),
        AccountError,
        "MaskedUpdate of",
    ),
    "another's signature": (
        lambda scene: entry(scene, signature=scene.sent[3].entry.signature),
        AccountError,
        NOT_SIGNED,
    ),
    "another round's": (
        lambda scene: forged(scene, scene.sent[4].arrays, number=2),
        AccountError,
        NOT_SIGNED,
    ),
    "another task's": (
        lambda scene: forged(scene, scene.sent[4].arrays, task=2),
        AccountError,
        NOT_SIGNED,
    ),
    "another chain's": (
        lambda scene: forged(scene, scene.sent[4].arrays, chain_id=1),
        AccountError,
        NOT_SIGNED,
    ),
    "another contract's": (
        lambda scene: forged(scene, scene.sent[4].arrays, contract="0x" + "1" * 40),
        AccountError,
        NOT_SIGNED,
    ),
    "one content under two names": (
        lambda scene: forged(scene, scene.sent[3].arrays),
        AccountError,
        "names one content twice",
    ),
    "copied": (copied, CryptoError, OF),
    "copied, with a proof of its own": (copied_with_a_proof_of_its_own, CryptoError, OF),
    "another's proof": (
        lambda scene: forged(scene, {**scene.sent[4].arrays, PROOF: scene.sent[3].arrays[PROOF]}),
        CryptoError,
        OF,
    ),
    "a proof backwards": (changed(PROOF, lambda one: one[::-1].copy()), CryptoError, OF),
    "a shorter proof": (changed(PROOF, lambda one: one[:-1]), ModelError, OF),
    "a ciphertext of zero": (changed(CIPHERTEXTS, zeros), CryptoError, OF),
    "ciphertexts that change places": (
        changed(CIPHERTEXTS, lambda one: one[::-1].copy()),
        CryptoError,
        OF,
    ),
    "a shorter modulus": (changed(CIPHERTEXTS, lambda one: one[:, 1:].copy()), ModelError, OF),
    "another dtype": (
        changed(CIPHERTEXTS, lambda one: one.astype(np.uint16)),
        ModelError,
        OF,
    ),
    "one of another length": (lambda scene: [*scene.sent[:4], scene.longer], ModelError, OF),
    "the first of another length": (
        lambda scene: [scene.server.forged_entry(0, scene.longer.arrays), *scene.sent[1:]],
        CryptoError,
        OF,
    ),
}
"""Name of a list to who makes it, and how a trainer refuses it."""


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_may_not_be_opened_is_not_signed(scene, name):
    """Whoever is on it, whatever they signed: the trainer looks at each entry by itself."""
    make, error, says = LISTS[name]
    sent = make(scene)
    server = scene.server
    with pytest.raises(error, match=says):
        server.asked_to_sign(0, server.list_of(*sent), sent)


def swapped(sent):
    return [replace(sent[0], arrays=sent[1].arrays), replace(sent[1], arrays=sent[0].arrays)]


@pytest.mark.parametrize(
    ("records", "error", "says"),
    [
        (lambda sent: [*swapped(sent), *sent[2:]], AccountError, "what came as the masked update"),
        (lambda sent: sent[1:], ModelError, "is on the list and did not come"),
        (lambda sent: sent[:-1], ModelError, "is on the list and did not come"),
        (lambda _: [], ModelError, "is on the list and did not come"),
        (
            lambda sent: [replace(sent[0], arrays={PROOF: sent[0].arrays[PROOF]}), *sent[1:]],
            ModelError,
            "has no 'ciphertexts'",
        ),
        (
            lambda sent: [
                *sent[:4],
                replace(sent[4], arrays={**sent[4].arrays, "more": np.zeros(1)}),
            ],
            ModelError,
            "masked update of",
        ),
    ],
    ids=["swapped", "first missing", "last missing", "none", "no ciphertexts", "more arrays"],
)
def test_contents_are_those_that_the_list_names(scene, records, error, says):
    """An honest list with other contents than its own is not signed."""
    server, sent = scene.server, scene.sent
    with pytest.raises(error, match=says):
        server.asked_to_sign(0, server.list_of(*sent), records(sent))


@pytest.mark.parametrize(
    "entries",
    [
        None,
        "list",
        7,
        [[]],
        [1],
        [["0x1", "cid", 10, "00"]],
        {"a": 1},
        [[1, 2, 3, 4]],
        [["a", "b", 1, "c", "d"]],
    ],
    ids=str,
)
def test_what_is_no_list_is_called_none(scene, entries):
    """JSON of any other form is an error of ours."""
    with pytest.raises(ConfigError, match="list of ciphertexts is none"):
        scene.server.ask(0, "list", entries=entries)


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 0},
        {"samples": -1},
        {"samples": 1 << 63},
        {"samples": True},
        {"samples": 10.0},
        {"samples": "10"},
        {"cid": "bafy"},
        {"account": None},
        {"signature": 7},
        {"signature": "zz"},
    ],
    ids=str,
)
def test_an_entry_of_another_form_is_no_entry(scene, change):
    """Samples are a positive number of 63 bits, a CID has one form, a signature is hexadecimal."""
    plain = scene.server.list_of(*scene.sent).plain()
    places = ("account", "cid", "samples", "signature")
    for name, value in change.items():
        plain[4][places.index(name)] = value
    with pytest.raises(ConfigError, match="list of ciphertexts is none"):
        scene.server.ask(0, "list", entries=plain)


def test_a_refused_list_binds_to_nothing(scene):
    """After all refusals above, trainer 0 signs the honest list, and the same one once more."""
    server, listed = scene.server, scene.server.list_of(*scene.sent)
    signed = server.asked_to_sign(0, listed, scene.sent)
    assert signed.hex() == server.forged_signature(0, server.digest(listed))
    assert server.asked_to_sign(0, listed, scene.sent) == signed


def test_a_second_list_of_a_round_is_never_signed(server):
    """Not with one update less, not with other contents of the same trainers, nor samples."""
    sent = [server.masked(one) for one in range(5)]
    again = server.masked(4, asked="once more")
    assert again.entry.cid != sent[4].entry.cid
    server.signatures([0], sent)
    more = server.forged_entry(4, sent[4].arrays, samples=11)
    for other in (sent[:4], sent[1:], [*sent[:4], again], [*sent[:4], more]):
        with pytest.raises(AccountError, match=r"ciphertext list of round 1 is \w+ already"):
            server.signatures([0], other)
    assert server.signatures([0], sent)


def test_later_rounds_do_not_open_an_earlier_one_anew(server):
    """Two later rounds whose lists a trainer only heard of do not make it forget round 1's.

    Others mask in rounds 2 and 3; trainer 0 is asked about their lists by each phase that takes
    one, which binds it and signs nothing; then the server comes back to round 1 with a subset.
    """
    sent = [server.masked(one) for one in range(5)]
    server.signatures([0], sent)
    for number in (2, 3):
        later = [server.masked(one, number) for one in range(1, 5)]
        listed = server.list_of(*later)
        digest = server.digest(listed, number)
        signed = {
            server.federation.clients[one]: server.forged_signature(one, digest, number=number)
            for one in range(1, 5)
        }
        with pytest.raises(AccountError, match="has not computed the product"):
            server.shares(0, listed, signed, number)
        openers = [server.federation.clients[0]]
        with pytest.raises(AccountError, match="has not computed the product"):
            server.ask(0, "opened", number, entries=listed.plain(), openers=openers)
    for other in (sent[:4], sent):
        with pytest.raises(AccountError, match="round 1 of task 1 is over"):
            server.signatures([0], other)


def test_a_trainer_that_signed_for_a_later_round_signs_no_earlier_list(server):
    """Its journal has round 2; what was masked in round 1 is opened no more."""
    sent = [server.masked(one) for one in range(5)]
    server.masked(0, 2)
    with pytest.raises(AccountError, match="round 1 of task 1 is over"):
        server.signatures([0], sent)


def test_a_damaged_journal_signs_nothing(server):
    """It is no empty one: a trainer that forgot what it signed could be made to sign the rest."""
    sent = [server.masked(one) for one in range(5)]
    server.signatures([0], sent)
    [path] = (server.federation.path / "journals").glob("*/0.json")
    path.write_bytes(path.read_bytes()[:-20])
    for phase in (lambda: server.signatures([0], sent[:4]), lambda: server.masked(0, 2)):
        with pytest.raises(AccountError, match=re.escape(f"journal {path} is damaged")):
            phase()
