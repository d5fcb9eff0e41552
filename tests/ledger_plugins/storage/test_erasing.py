"""Contents are deleted for good, all or none where one is not there."""

import pytest

from fedledger.errors import ContentNotFound, ContentPinned, InvalidCid, StoreUnavailable
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.ledger_plugins.storage.erasing import erase
from fedledger.ledger_plugins.storage.local import FileStore

GONE = cid_of(b"nobody has it")


@pytest.fixture
def store(tmp_path):
    with open_store(f"file://{tmp_path}/store") as opened:
        yield opened


def test_what_is_deleted_is_gone(store):
    """Each once, however often it is named; another content stays."""
    one, two, three = store.put_all([b"1", b"2", b"3"])
    assert erase(store, [one, two, one]) == [one, two]
    assert (store.has(one), store.has(two), store.has(three)) == (False, False, True)


@pytest.mark.parametrize(("wrong", "error"), [(GONE, ContentNotFound), ("x", InvalidCid)])
def test_nothing_is_deleted_when_one_is_not_there(store, wrong, error):
    """A mistyped CID deletes nothing, wherever it stands."""
    there = store.put(b"there")
    with pytest.raises(error):
        erase(store, [there, wrong])
    assert store.has(there)


def test_a_pin_keeps_a_content_until_it_is_let_go(store):
    """Pinned contents are deleted only where that is asked for."""
    cid = store.put(b"pinned")
    store.pin(cid)
    with pytest.raises(ContentPinned):
        erase(store, [cid])
    assert store.has(cid)
    assert erase(store, [cid], unpin=True) == [cid]
    assert store.pins() == []


def test_a_store_that_only_says_so_is_found(store, monkeypatch):
    """What is still there after it was deleted is an error, and no success."""
    cid = store.put(b"sticky")
    monkeypatch.setattr(FileStore, "_delete", lambda _self, _cid: None)
    with pytest.raises(StoreUnavailable, match=f"deleted {cid}, and still has it"):
        erase(store, [cid])
