"""The lot: what it depends on, what a list needs, and what later rounds remember."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import AccountError
from fedledger.ledger_plugins.contracts.training_task.facade import NO_SEAL
from fedledger.ledger_plugins.contracts.training_task.seals import seal_of
from fedledger.strategies.protocols.pofl.draws import Listed, Lists, UpdateList, least_listed
from fedledger.strategies.protocols.pofl.selection import timestamp_index

ACCOUNTS = [f"0x{number:040x}" for number in range(1, 41)]


def salt(number):
    return bytes([number]) * 32


def listing(clients=(0, 2, 5), silent=(), task=1, number=1):
    entries = tuple(
        Listed(ACCOUNTS[one], one, bytes([1, one]), seal_of(ACCOUNTS[one], salt(one)))
        for one in clients
    )
    return UpdateList(task, number, entries, frozenset(silent))


def salts(listed):
    return {who: salt(one.position) for who, one in listed.salters.items()}


def test_every_input_moves_the_lot():
    """Task, round, each update on the list and each salt enter it."""
    listed = listing()
    base = listed.lot(salts(listed), 2**64)
    others = [listing(task=2), listing(number=2), listing((0, 2)), listing((0, 2, 6))]
    changed = replace(listed.entries[1], cid=b"other")
    others.append(replace(listed, entries=(listed.entries[0], changed, listed.entries[2])))
    found = {one.lot(salts(one), 2**64) for one in others}
    for who in listed.salters:
        found.add(listed.lot({**salts(listed), who: salt(99)}, 2**64))
    assert len(found) == len(others) + 3
    assert base not in found
    assert listed.lot(salts(listed), 2**64) == base


def test_a_missing_salt_is_no_lot():
    """Nobody can throw a lot with fewer salts than the list asks for."""
    listed = listing()
    some = salts(listed)
    some.pop(ACCOUNTS[2])
    with pytest.raises(KeyError):
        listed.lot(some, 3)


def test_every_input_moves_the_digest():
    """What clients sign says which updates, whose seals, whose salts, which round."""
    changed = replace(listing().entries[0], seal=NO_SEAL)
    digests = {
        one.digest
        for one in (
            listing(),
            listing(task=2),
            listing(number=2),
            listing((0, 2)),
            listing(silent=[2]),
            replace(listing(), entries=(changed, *listing().entries[1:])),
        )
    }
    assert len(digests) == 6


def test_a_lot_does_not_depend_on_who_the_clients_are():
    """A repeated simulation has other accounts, and the same rules."""
    listed = listing()
    entries = tuple(replace(one, client=ACCOUNTS[one.position + 20]) for one in listed.entries)
    other = replace(listed, entries=entries)
    assert other.lot(salts(other), 2**64) == listed.lot(salts(listed), 2**64)


def test_each_rule_gets_its_share():
    """Over many rounds the three rules are drawn about equally often."""
    counts = Counter(listing(number=number).lot(salts(listing()), 3) for number in range(1, 3001))
    assert all(900 < counts[index] < 1100 for index in range(3))


def test_a_seal_is_its_clients_own():
    """The same salt has another seal for another account, so a copied seal opens to nothing."""
    assert seal_of(ACCOUNTS[0], salt(1)) != seal_of(ACCOUNTS[1], salt(1))
    with pytest.raises(AccountError, match="32 bytes, not 5"):
        seal_of(ACCOUNTS[0], b"short")


@given(st.data())
def test_two_lists_with_a_lot_share_an_honest_client_that_is_asked(data):
    """Whoever is malicious and whoever is left out: some honest client signs for one of them."""
    byzantine = data.draw(st.integers(0, 9))
    clients = data.draw(st.integers(2 * byzantine + 3, 40))
    silent = data.draw(st.integers(0, byzantine))
    least = least_listed(clients, byzantine, silent)
    everybody = range(clients)
    first = set(data.draw(st.permutations(everybody))[:least])
    second = set(data.draw(st.permutations(everybody))[:least])
    bad = set(data.draw(st.permutations(everybody))[:byzantine])
    out = set(data.draw(st.permutations(everybody))[:silent])
    assert (first & second) - bad - out or least > clients


def test_who_does_not_reveal_is_not_asked_again():
    """At most f are left out, the newest ones; who was left out before stays until then."""
    listed = listing((0, 1, 2, 3))
    gave = dict.fromkeys((ACCOUNTS[0], ACCOUNTS[1], ACCOUNTS[3]), listed.digest)
    after = Lists().after(listed, gave, 2)
    assert after.silent == (2,)
    assert after.known == ((1, listed.digest.hex()),)
    again = listing((0, 1, 2, 3), silent=after.silent, number=2)
    assert set(again.salters) == {ACCOUNTS[0], ACCOUNTS[1], ACCOUNTS[3]}
    later = after.after(again, {ACCOUNTS[0]: again.digest}, 2)
    assert later.silent == (1, 3)
    assert Lists().after(listed, {}, 0).silent == ()


def test_a_list_that_no_round_has_is_a_contradiction():
    """What a client names is held against the rounds that this history has, and no others."""
    known = Lists(through=5, known=((2, "aa"), (4, "bb")))
    assert not known.contradicts(0, bytes(32))
    assert not known.contradicts(4, b"\xbb")
    assert not known.contradicts(6, b"\xcc")  # a round that a rollback has undone since
    assert known.contradicts(3, b"\xcc")
    assert known.contradicts(5, b"\xbb")
    assert known.contradicts(4, b"\xcc")


def test_what_a_killed_run_fixed_is_admitted():
    """A list that more than f clients name in a round stands beside the round's own."""
    listed = listing((0, 1, 2, 3))
    other = b"\x01" * 32
    named = {ACCOUNTS[0]: other, ACCOUNTS[1]: other, ACCOUNTS[2]: listed.digest}
    assert {digest for _, digest in Lists().after(listed, named, 1).known} == {
        other.hex(),
        listed.digest.hex(),
    }
    named = {ACCOUNTS[0]: other, ACCOUNTS[2]: listed.digest}
    assert Lists().after(listed, named, 1).known == ((1, listed.digest.hex()),)


def test_only_the_newest_lists_are_remembered():
    """The state stays small; what is older than it is no contradiction."""
    lists = Lists()
    for number in range(1, 101):
        listed = listing((0, 1), number=number)
        lists = lists.after(listed, dict.fromkeys(listed.salters, listed.digest), 1)
    assert len(lists.known) == 64
    assert not lists.contradicts(10, b"\x01")
    assert lists.contradicts(90, b"\x01")


def test_the_last_uploader_aims_the_timestamp():
    """The paper's choice moves with each millisecond, which is why it is not the default."""
    assert [timestamp_index(time, 3) for time in (1, 2, 3, 4)] == [0, 1, 2, 0]
