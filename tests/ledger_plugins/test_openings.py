"""Openings: what a sealed submission names, and what is pending of it."""

import json

import pytest

from fedledger.effects import Effects
from fedledger.errors import AccountError, CallError
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.openings import MAX_OPENING_BYTES, Opening, Pending
from fedledger.ledger_plugins.signing import Domain
from fedledger.ledger_plugins.storage.cid import cid_of

CLIENT, OTHER = (Account.from_key(bytes([key]) * 32) for key in (1, 2))
DOMAIN = Domain(4242, OTHER.address, 3, 7)
CONTENT = b"what was trained"
OPENING = Opening.of(CLIENT, DOMAIN, cid_of(CONTENT))
DISK = Effects.real().disk


def test_an_opening_is_read_as_it_was_written():
    """Its CID is that of the bytes, and asked again an account has the same one."""
    data = OPENING.encode()
    assert Opening.decode(data) == OPENING == Opening.of(CLIENT, DOMAIN, cid_of(CONTENT))
    assert OPENING.cid == cid_of(data)
    assert len(data) < MAX_OPENING_BYTES / 2
    OPENING.check(CLIENT.address, DOMAIN)
    assert OPENING.salt.hex() not in repr(OPENING)


@pytest.mark.parametrize(
    "other",
    [
        Opening.of(OTHER, DOMAIN, cid_of(CONTENT)),
        Opening.of(CLIENT, DOMAIN, cid_of(b"another")),
        *(
            Opening.of(CLIENT, Domain(*place), cid_of(CONTENT))
            for place in (
                (4243, OTHER.address, 3, 7),
                (4242, CLIENT.address, 3, 7),
                (4242, OTHER.address, 4, 7),
                (4242, OTHER.address, 3, 8),
            )
        ),
    ],
)
def test_salts_and_cids_differ_by_account_place_and_content(other):
    """So nothing is learnt of one from another."""
    assert other.salt != OPENING.salt
    assert other.cid != OPENING.cid


@pytest.mark.parametrize(
    ("account", "place"),
    [
        (OTHER.address, DOMAIN),
        (CLIENT.address, Domain(1, OTHER.address, 3, 7)),
        (CLIENT.address, Domain(4242, CLIENT.address, 3, 7)),
        (CLIENT.address, Domain(4242, OTHER.address, 2, 7)),
        (CLIENT.address, Domain(4242, OTHER.address, 3, 6)),
    ],
)
def test_an_opening_is_for_one_account_and_round(account, place):
    """Whoever names it for another one is told what it is for."""
    with pytest.raises(CallError, match=r"the opening (names|is for)"):
        OPENING.check(account, place)


def changed(**fields):
    return json.dumps(json.loads(OPENING.encode()) | fields, sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 900,
        b"x" * (MAX_OPENING_BYTES + 1),
        b" " + OPENING.encode(),
        changed(label="fedledger seal v1").encode(),
        changed(extra=1).encode(),
        changed(chain=-1).encode(),
        changed(chain=True).encode(),
        changed(task=1.0).encode(),
        changed(round="7").encode(),
        changed(account=OTHER.address.lower()).encode(),
        changed(account="0x1").encode(),
        changed(content="nowhere").encode(),
        changed(content=["b"]).encode(),
        changed(salt="00").encode(),
        changed(salt=OPENING.salt.hex().upper()).encode(),
        changed(salt="zz" * 32).encode(),
    ],
)
def test_what_is_no_opening_is_refused(data):
    """By one error, whatever the bytes are."""
    with pytest.raises(CallError, match=r"opening|address"):
        Opening.decode(data)


def test_pending_contents_are_kept_until_they_are_forgotten(tmp_path, caplog):
    """For another process too; what is damaged is said, and keeps nothing else from being read."""
    path = tmp_path / "client.json"
    pending = Pending.beside(path, DISK)
    assert pending.all() == []
    pending.keep(OPENING, CONTENT)
    second = Opening.of(CLIENT, DOMAIN, cid_of(b"line\nline"))
    pending.keep(second, b"line\nline")
    again = Pending.beside(path, DISK)
    assert {one: again.content(one) for one in again.all()} == {
        second: b"line\nline",
        OPENING: CONTENT,
    }
    assert {one.stat().st_mode & 0o77 for one in [again.folder, *again.folder.iterdir()]} == {0}
    [damaged] = [one for one in again.folder.iterdir() if OPENING.cid in one.name]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (again.folder / "torn.opening").write_bytes(b"{")
    assert sorted(again.all(), key=lambda one: one.cid) == sorted(
        [second, OPENING], key=lambda one: one.cid
    )
    assert again.content(OPENING) is None
    assert caplog.text.count("is damaged") == 2
    again.forget(second)
    assert again.all() == [OPENING]


def test_what_cannot_be_kept_is_not_submitted(tmp_path):
    """A file lies where the folder belongs."""
    (tmp_path / "client.json.pending").write_bytes(b"")
    with pytest.raises(AccountError, match="nothing is submitted"):
        Pending.beside(tmp_path / "client.json", DISK).keep(OPENING, CONTENT)
