"""Trainers that lie to an honest server: each lie is dropped by name, and every round goes on."""

from dataclasses import replace

import numpy as np
import pytest
from support.encrypted import EncryptedFederation
from support.evidence import all_evidence
from support.federation import make_app
from support.lying import arrays_changed, arrays_of, lie, saying, with_arrays

from fedledger.clients.handlers.threshold.specification import known_of
from fedledger.crypto.paillier import Comb, encrypt
from fedledger.crypto.paillier.cores import here
from fedledger.crypto.threshold import prove_plaintexts
from fedledger.ledger_plugins.contracts.threshold_keys.contents import (
    CIPHERTEXTS,
    MESSAGES,
    PROOF,
    SHARES,
    digits,
    row,
    transcript_of,
)
from fedledger.strategies import audit_ledger

MODEL = {"layer": np.zeros(400, np.float32)}
"""Five ciphertexts: of four openers the first lifts two, and the others one."""


@pytest.fixture
def encrypted(tmp_path):
    federation = EncryptedFederation(tmp_path)
    yield federation
    federation.close()


def run(federation, monkeypatch, lies, rounds, **options):
    """Run rounds in which accounts lie; return by phase and round who was dropped, and why."""
    clients = federation.clients
    lie(monkeypatch, {(phase, at, clients[who]): one for (phase, at, who), one in lies.items()})
    federation.run(federation.encrypted(**options), make_app(), rounds=rounds, model=MODEL)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    evidence = all_evidence(federation)
    assert [one.kept for one in evidence] == [None] * rounds
    assert [one.aggregate for one in report.rounds] == ["proved"] * rounds
    return {
        (phase.name, one.round, clients.index(dropped.party)): dropped.reason
        for one in evidence
        for phase in one.phases
        for dropped in phase.dropped
        if dropped.reason != "not-asked"
    }


def changed(name, change):
    def made(arrays):
        return {**arrays, name: change(arrays[name].copy())}

    return arrays_changed(made)


def flipped(array):
    array.flat[-1] ^= 1
    return array


def emptied(array):
    array[0] = 0
    return array


def backwards(array):
    return array[::-1].copy()


def longer(array):
    return np.concatenate([array, array[:1]])


def much_longer(array):
    return np.concatenate([array] * 50)


def again(seen, name):
    """Return the lie that answers what was answered the round before, and one that keeps it."""

    def keep(_asked, answered):
        seen[name] = arrays_of(answered)
        return answered

    def repeat(_asked, answered):
        return with_arrays(answered, seen[name])

    return keep, repeat


def unsigned(_asked, answered):
    """Other arrays than those whose CID is signed."""
    values, arrays = answered.values, arrays_of(answered)
    other = with_arrays(answered, {key: flipped(one.copy()) for key, one in arrays.items()})
    return replace(other, values=values)


def no_arrays(_asked, answered):
    for name in list(answered.reply.content.array_records):
        del answered.reply.content[name]
    return answered


MASKED = [
    (changed(PROOF, flipped), "proof"),
    (changed(CIPHERTEXTS, emptied), "proof"),
    (changed(CIPHERTEXTS, much_longer), "oversized"),
    (lambda _, answered: saying(answered, seal=bytes(32)), "proof"),
    (unsigned, "cid"),
    (changed(PROOF, np.zeros_like), "proof"),
    (changed(CIPHERTEXTS, flipped), "proof"),
    (changed(CIPHERTEXTS, backwards), "proof"),
    (changed(CIPHERTEXTS, longer), "arrays"),
    (changed(CIPHERTEXTS, lambda one: one.astype(np.int64)), "oversized"),
    (changed(PROOF, lambda one: one.view(np.int8)), "arrays"),
    (arrays_changed(lambda arrays: {**arrays, "more": np.zeros(1, np.uint8)}), "arrays"),
    (arrays_changed(lambda arrays: {PROOF: arrays[PROOF]}), "arrays"),
    (lambda _, answered: saying(answered, samples=0), "metrics"),
    (no_arrays, "records"),
]
"""What a trainer makes of its masked update, and what the server calls that."""

SHARED = [
    (changed(SHARES, flipped), "share"),
    (lambda _, answered: saying(answered, list=bytes(32)), "list"),
    (changed(SHARES, much_longer), "oversized"),
    (changed(PROOF, flipped), "share"),
    (unsigned, "cid"),
    (changed(SHARES, emptied), "share"),
    (changed(SHARES, backwards), "share"),
    (changed(SHARES, longer), "arrays"),
    (changed(SHARES, lambda one: one.astype(np.int64)), "oversized"),
    (no_arrays, "records"),
]
"""Of its decryption shares."""

OPENED = [
    (changed(MESSAGES, emptied), "opened"),
    (changed(MESSAGES, flipped), "opened"),
    (changed(MESSAGES, much_longer), "oversized"),
    (lambda _, answered: saying(answered, part=0), "list"),
    (lambda _, answered: saying(answered, list=bytes(32)), "list"),
    (changed(MESSAGES, lambda one: np.full_like(one, 255)), "opened"),
    (changed(MESSAGES, longer), "arrays"),
    (lambda _, answered: saying(answered, part=2**32 - 1), "list"),
    (unsigned, "cid"),
    (no_arrays, "records"),
]
"""Of the messages of its part, which is a shorter one: what is behind it has to be zeros."""


@pytest.mark.parametrize("rounds", [4, pytest.param(15, marks=pytest.mark.soak)])
def test_lies_about_masked_updates_shares_and_parts_stop_no_round(encrypted, monkeypatch, rounds):
    """In every round one trainer lies about its update, one about its shares, one about its part.

    A round has what the other four, four and three said; the server lifts what nobody lifted.
    """
    lies, expected = {}, {}
    for phase, who, told in (("masked", 0, MASKED), ("shares", 1, SHARED), ("opened", 4, OPENED)):
        for at, (change, reason) in enumerate(told[:rounds], start=1):
            lies[phase, at, who] = change
            expected[phase, at, who] = reason
    found = run(encrypted, monkeypatch, lies, rounds, lifts=0)
    assert found == expected


def test_what_was_right_in_the_round_before_is_wrong_in_this_one(encrypted, monkeypatch):
    """A masked update, shares and a part of round 1 prove nothing in round 2.

    And a trainer whose share of the trial does not fit is found out before the first round.
    """
    lies, seen = {("keys", 1, 3): changed(SHARES, flipped), ("shares", 1, 4): SHARED[1][0]}, {}
    expected = {("keys", 1, 3): "share", ("shares", 1, 4): "list"}
    told = ("masked", 0, "proof"), ("shares", 1, "share"), ("opened", 2, "opened")
    for phase, who, reason in told:
        keep, repeat = again(seen, phase)
        lies[phase, 1, who], lies[phase, 2, who] = keep, repeat
        expected[phase, 2, who] = reason
    found = run(encrypted, monkeypatch, lies, 2, lifts=0)
    assert found == expected


def test_what_is_said_of_other_keys_another_list_and_anothers_update(encrypted, monkeypatch):
    """Acceptance of other keys, a signature of another list, and a copy, proof and all.

    Of the copy and its original one counts: the one whose proof says whose it is.
    """
    seen = []

    def copy(_asked, answered):
        seen.append(arrays_of(answered))
        return with_arrays(answered, seen[0])

    lies = {
        ("keys", 1, 0): lambda _, answered: saying(answered, digest=bytes(32)),
        ("list", 1, 1): lambda _, answered: saying(answered, list=bytes(32)),
        ("masked", 1, 2): copy,
        ("masked", 1, 3): copy,
    }
    found = run(encrypted, monkeypatch, lies, 1)
    assert found.pop(("keys", 1, 0)) == "keys"
    assert found.pop(("list", 1, 1)) == "list"
    assert len(seen) == 2
    assert found in ({("masked", 1, 2): "proof"}, {("masked", 1, 3): "proof"})


def overflowing(asked, answered):
    """Plaintexts with something above their slots, encrypted and proved as they should be."""
    known = known_of(asked)
    keys, _ = asked.keyring.kept(known.keys, known.place)
    plain = [1 << 2041] * len(arrays_of(answered)[CIPHERTEXTS])
    made = encrypt(Comb(keys.public, len(plain)), plain, asked.entropy, here())
    transcript = transcript_of(asked.domain, asked.account, known.terms, keys)
    secrets = made.ciphertexts, plain, made.blindings, transcript
    proof = prove_plaintexts(keys.public, *secrets, entropy=asked.entropy)
    numbers = digits(made.ciphertexts, keys.public.width)
    return with_arrays(answered, {CIPHERTEXTS: numbers, PROOF: row(proof.encode(keys.public))})


def test_what_no_update_holds_ends_a_round_with_its_model(encrypted, monkeypatch):
    """Nobody sees whose it was: the round keeps its model, and the next one moves it.

    So a trainer can stop every round in which it masks; docs/trust.md says so.
    """
    lie(monkeypatch, {("masked", 1, encrypted.clients[2]): overflowing})
    encrypted.run(encrypted.encrypted(), make_app(), rounds=2, model=MODEL)
    first, second = all_evidence(encrypted)
    assert first.kept.startswith("a masked update held what no update does: ")
    assert second.kept is None
    report = audit_ledger(encrypted.ledger, encrypted.store)
    assert report.passed, report.reason
