"""The store in a folder: durable, verified on every read, and never outside its folder."""

import os
import socket
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.effects import Effects
from fedledger.errors import (
    ConfigError,
    ContentCorrupted,
    ContentNotFound,
    ContentPinned,
    ContentTooLarge,
    InvalidCid,
    StoreUnavailable,
    UnknownNameError,
)
from fedledger.ledger_plugins.storage.base import Store
from fedledger.ledger_plugins.storage.cid import DEFAULT_PROFILE, PROFILES, cid_of
from fedledger.ledger_plugins.storage.local import FileStore, open_file_store

NEWER = PROFILES["unixfs-v1-2025"]
ABSENT = cid_of(b"absent")
REAL = Effects.real()


@pytest.fixture
def store(tmp_path):
    with FileStore(tmp_path / "store", REAL) as store:
        yield store


def path_of(store, cid):
    return store.folder / store.profile / cid


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 3_000_000])
def test_what_was_put_comes_back(store, size):
    """Content comes back byte for byte under the CID that IPFS gives it."""
    data = os.urandom(size)
    cid = store.put(data)
    assert cid == cid_of(data)
    assert store.get(cid) == data
    assert store.has(cid)
    assert cid in store


def test_it_is_a_store_and_reopens_by_its_url(store):
    """Another store opened with `url` sees the same content, blanks in the path and all."""
    assert isinstance(store, Store)
    assert isinstance(store, FileStore)
    folder = store.folder.parent / "a b%20ü"
    cid = FileStore(folder, REAL).put(b"x")
    again = open_file_store(FileStore(folder, REAL).url)
    assert isinstance(again, FileStore)
    assert again.folder == folder
    assert again.get(cid) == b"x"
    assert again.profile == DEFAULT_PROFILE.name


def test_opening_and_reading_make_no_folder(store):
    """A mistyped URL leaves nothing behind."""
    with pytest.raises(ContentNotFound):
        store.get(ABSENT)
    assert list(store) == []
    assert not store.has(ABSENT)
    assert not store.folder.exists()


def test_putting_again_changes_nothing(store):
    """The file of content that is there is not written again."""
    cid = store.put(b"same")
    before = path_of(store, cid).stat()
    assert store.put(b"same") == cid
    after = path_of(store, cid).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("damage", ["flip", "truncate", "append", "empty"])
def test_damage_is_found_and_a_put_repairs_it(store, damage):
    """No damaged byte is ever returned; storing the content again heals the file."""
    data = os.urandom(300_000)
    cid = store.put(data)
    path = path_of(store, cid)
    damaged = {
        "flip": bytes([data[0] ^ 1]) + data[1:],
        "truncate": data[:-1],
        "append": data + b"\0",
        "empty": b"",
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(ContentCorrupted) as caught:
        store.get(cid)
    assert caught.value.cid == cid
    assert caught.value.actual == cid_of(damaged)
    assert store.put(data) == cid
    assert store.get(cid) == data


def test_size_cap_of_put(tmp_path):
    """The cap itself fits; a byte more is refused and leaves nothing."""
    store = FileStore(tmp_path / "s", REAL, max_bytes=10)
    store.put(bytes(10))
    with pytest.raises(ContentTooLarge) as caught:
        store.put(bytes(11))
    assert (caught.value.size, caught.value.limit) == (11, 10)
    assert len(list(store)) == 1


def test_size_cap_of_get_is_judged_before_reading(store):
    """A huge file is refused by its size: reading a terabyte would not end in time."""
    cid = store.put(b"small")
    assert store.get(cid, max_bytes=5) == b"small"
    with pytest.raises(ContentTooLarge):
        store.get(cid, max_bytes=4)
    with path_of(store, cid).open("r+b") as file:
        file.truncate(2**40)
    start = time.perf_counter()
    with pytest.raises(ContentTooLarge):
        store.get(cid)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("cid", ["../secret", "/etc/hostname", "", ".", "..", "x/../../secret"])
def test_nothing_outside_the_folder_can_be_named(store, cid):
    """A path is no CID: it is refused before the disk is touched."""
    store.put(b"x")
    (store.folder.parent / "secret").write_bytes(b"secret")
    with pytest.raises(InvalidCid):
        store.get(cid)
    with pytest.raises(InvalidCid):
        store.has(cid)
    assert cid not in store


@examples(200)
@given(st.text(max_size=80))
def test_any_text_is_refused_as_a_cid(tmp_path_factory, text):
    """Fuzz: no text that is no CID reaches the disk."""
    store = FileStore(tmp_path_factory.getbasetemp() / "never", REAL)
    with pytest.raises(InvalidCid):
        store.get(text)


def test_things_that_are_no_text_are_not_in_the_store(store):
    """`in` answers False where there is no CID to look for."""
    assert 7 not in store
    assert None not in store


def test_leftovers_of_a_killed_writer_are_harmless(store):
    """Partial files and foreign files are neither listed nor read."""
    cid = store.put(b"whole")
    folder = store.folder / store.profile
    (folder / f".{ABSENT}.0123456789abcdef.part").write_bytes(b"abs")
    (folder / "README").write_bytes(b"foreign")
    (store.folder / "other-profile").mkdir()
    (store.folder / "other-profile" / ABSENT).write_bytes(b"absent")
    assert list(store) == [cid]
    assert not store.has(ABSENT)
    assert store.put(b"absent") == ABSENT
    assert store.get(ABSENT) == b"absent"


def test_a_failed_write_leaves_no_file(store, monkeypatch):
    """When the disk refuses, the error is the store's own and nothing partial stays."""
    store.put(b"first")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        store.put(b"second")
    assert [path.name for path in (store.folder / store.profile).iterdir()] == [cid_of(b"first")]


def test_several_are_stored_as_each_alone(store):
    """`put_all` gives the CIDs of `put`, in order, of new, known, repeated and no contents."""
    contents = [b"first", bytes(300_000), b"", b"first", b"known"]
    known = store.put(b"known")
    assert store.put_all(iter(contents)) == [cid_of(data) for data in contents]
    assert [store.get(cid_of(data)) for data in contents] == contents
    assert len(list(store)) == 4
    assert known in store
    assert store.put_all([]) == []


def test_several_are_flushed_before_they_have_their_names(store, monkeypatch):
    """Every file is flushed before the folder is, which comes last and once."""
    store.put(b"first")
    order = []
    sync = os.fsync

    def spy(handle):
        order.append(Path(f"/proc/self/fd/{handle}").readlink().name[-5:])
        sync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    store.put_all([b"%d" % number for number in range(20)])
    assert order == [".part"] * 20 + [store.profile[-5:]]


def test_several_of_which_one_is_too_large_leave_nothing(tmp_path):
    """The cap is judged before anything is written."""
    store = open_file_store(f"file://{tmp_path}/store", max_bytes=10)
    with pytest.raises(ContentTooLarge):
        store.put_all([b"small", bytes(11)])
    assert list(store) == []


def test_several_on_a_full_disk_leave_no_part(store, monkeypatch):
    """When the disk refuses one of several, the error is the store's own, nothing is partial."""
    store.put(b"first")
    sync, left = os.fsync, [1] * 5

    def full(handle):
        try:
            left.pop()
        except IndexError:
            raise OSError(28, "No space left on device") from None
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match=r"20 contents: .*No space left"):
        store.put_all([b"%d" % number for number in range(20)])
    names = {path.name for path in (store.folder / store.profile).iterdir()}
    assert names <= {cid_of(data) for data in [b"first", *(b"%d" % n for n in range(20))]}
    assert len(names) == 6


SPECIAL = {
    "a FIFO": os.mkfifo,
    "a folder": os.mkdir,
    "a socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_no_content_and_never_waited_for(tmp_path, monkeypatch, kind):
    """In place of a content it is damage by name; a put heals it, unless a folder is in the way."""
    monkeypatch.chdir(tmp_path)
    store = FileStore(tmp_path, REAL)
    cid = store.put(b"content")
    path_of(store, cid).unlink()
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        SPECIAL[kind](path_of(store, cid))
    for ask in (store.get, store.get_stream, store.size, store.has):
        with pytest.raises(ContentCorrupted) as caught:
            ask(cid)
        assert (caught.value.cid, caught.value.actual) == (cid, None)
    if kind == "a folder":
        with pytest.raises(StoreUnavailable, match="directory"):
            store.put(b"content")
        assert [path.name for path in (tmp_path / store.profile).iterdir()] == [cid]
    else:
        assert store.put_stream([b"con", b"tent"]) == cid
        assert store.get(cid) == b"content"


def test_links_in_a_circle_are_not_followed_for_ever(store):
    """A name that leads to itself is the disk's error, by name."""
    cid = store.put(b"content")
    path_of(store, cid).unlink()
    path_of(store, cid).symlink_to(path_of(store, cid))
    for ask in (store.get, store.size, store.has):
        with pytest.raises(StoreUnavailable, match=cid):
            ask(cid)


def test_a_pin_holds_for_every_profile_and_deletion_removes_every_copy(tmp_path):
    """One pin keeps a CID, whatever folders it lies in; unpinned, all of it goes."""
    old, new = FileStore(tmp_path, REAL), FileStore(tmp_path, REAL, profile=NEWER)
    cid = old.put(b"one chunk has the same CID in both")
    new.put(b"one chunk has the same CID in both")
    new.pin(cid)
    with pytest.raises(ContentPinned):
        old.delete(cid)
    assert old.pins() == [cid]
    assert (tmp_path / "pins" / cid).read_bytes() == b""
    old.unpin(cid)
    new.delete(cid)
    assert not old.has(cid)
    assert list(old) == []


def test_pins_and_deletions_are_durable(store, monkeypatch):
    """The folder whose names changed is flushed before anything is acknowledged."""
    cid = store.put(b"content")
    store.pin(cid)
    flushed = []
    sync = os.fsync

    def spy(handle):
        flushed.append(Path(f"/proc/self/fd/{handle}").readlink())
        sync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    pins = store.folder / "pins"
    for change, folder in (
        (store.pin, pins),
        (store.unpin, pins),
        (store.delete, store.folder / store.profile),
    ):
        flushed.clear()
        change(cid)
        assert flushed == [folder]


def test_nothing_is_made_for_what_is_not_there(store):
    """Pinning or deleting in a store that nobody wrote to leaves no folder."""
    for ask in (store.pin, store.delete):
        with pytest.raises(ContentNotFound):
            ask(ABSENT)
    store.unpin(ABSENT)
    assert store.pins() == []
    assert not store.folder.exists()


def test_a_stream_is_written_once_and_flushed_before_it_has_its_name(store, monkeypatch):
    """Its draft lies in the store's own folder and is renamed: no second copy is written."""
    store.put(b"first")
    order = []
    sync = os.fsync

    def spy(handle):
        order.append((Path(f"/proc/self/fd/{handle}").readlink().name[-5:], cid in store))
        sync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    cid = cid_of(b"second")
    assert store.put_stream([b"sec", b"ond"]) == cid
    assert order == [(".part", False), (store.profile[-5:], True)]
    assert len(list((store.folder / store.profile).iterdir())) == 2


def test_content_is_flushed_before_it_has_its_name(store, monkeypatch):
    """The file is flushed first, then renamed, then its folder is flushed."""
    store.put(b"first")
    order = []
    sync = os.fsync

    def spy(handle):
        order.append((Path(f"/proc/self/fd/{handle}").readlink().name[-5:], cid in store))
        sync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    cid = cid_of(b"second")
    store.put(b"second")
    assert order == [(".part", False), (store.profile[-5:], True)]


def test_iteration_is_sorted_and_covers_every_profile(tmp_path):
    """Iterating a store gives all its CIDs once, whatever profile made them."""
    contents = [os.urandom(10) for _ in range(20)]
    store = FileStore(tmp_path, REAL)
    newer = FileStore(tmp_path, REAL, profile=NEWER)
    cids = {store.put(content) for content in contents}
    cids |= {newer.put(contents[0]), newer.put(bytes(2_000_000))}
    assert list(store) == list(newer) == sorted(cids)
    assert len(cids) == 21


def test_content_is_verified_under_the_profile_that_made_it(tmp_path):
    """A store of one profile reads content of the other, and hashes it as it was made."""
    data = os.urandom(2_000_000)
    old, new = FileStore(tmp_path, REAL), FileStore(tmp_path, REAL, profile=NEWER)
    first, second = old.put(data), new.put(data)
    assert first != second
    assert old.get(second) == new.get(first) == data
    assert old.has(second)
    (tmp_path / NEWER.name / second).write_bytes(data[:-1])
    with pytest.raises(ContentCorrupted):
        old.get(second)


def test_a_good_copy_of_another_profile_is_used(tmp_path):
    """Where one copy is damaged and the other is not, the content is still found."""
    old, new = FileStore(tmp_path, REAL), FileStore(tmp_path, REAL, profile=NEWER)
    cid = old.put(b"one chunk has the same CID in both")
    assert new.put(b"one chunk has the same CID in both") == cid
    path_of(old, cid).write_bytes(b"damaged")
    assert old.get(cid) == b"one chunk has the same CID in both"


@pytest.mark.parametrize(
    "url",
    [
        "file:relative",
        "file://host/folder",
        "file:///a/../b",
        "file:///a/%2e%2e/b",
        "file:///a?x=1",
        "file:///a#x",
        "file:///a%00b",
        "http:///a",
        "/plain/path",
        "",
    ],
)
def test_other_urls_are_refused(url):
    """Only file:///absolute/folder opens a store in a folder."""
    with pytest.raises(ConfigError):
        open_file_store(url)


def test_other_settings_are_refused(tmp_path):
    """A relative folder, a cap of nothing, an unknown profile, and a file in the way."""
    with pytest.raises(ConfigError):
        FileStore(tmp_path.relative_to("/"), REAL)
    with pytest.raises(ConfigError):
        open_file_store(tmp_path.as_uri(), max_bytes=0)
    with pytest.raises(UnknownNameError):
        open_file_store(tmp_path.as_uri(), profile="unixfs")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        FileStore(tmp_path / "file", REAL)


def test_closing_twice_is_fine(store):
    """A store can be closed again, and by `with` after that."""
    store.close()
    store.close()
