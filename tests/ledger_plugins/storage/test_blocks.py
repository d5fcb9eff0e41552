"""Contents that come as blocks: from a file that travels, and from a gateway nobody believes."""

import http.client
import random
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedledger.errors import (
    ConfigError,
    ContentCorrupted,
    ContentNotFound,
    ContentTooLarge,
    StoreError,
    StoreReadOnly,
    StoreTimedOut,
    StoreUnavailable,
)
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.storage.blocks import content_of, size_of
from fedledger.ledger_plugins.storage.car import export_car, open_car_store
from fedledger.ledger_plugins.storage.cid import (
    PROFILES,
    Tree,
    chunk_cid,
    cid_from_bytes,
    cid_of,
    cid_to_bytes,
)
from fedledger.ledger_plugins.storage.gateway import GatewayStore
from fedledger.ledger_plugins.storage.patience import may_pass

SIZES = (0, 1, 262_144, 262_145, 1_048_577, 3_000_000)
DEEP = 262_144 * 174 + 1  # the smallest content whose tree has two levels of nodes


def content(size):
    return random.Random(size).randbytes(size)


def blocks_of(data, profile):
    """Return a content's blocks by their binary CIDs."""
    tree = Tree(profile)
    tree.update(data)
    step = profile.chunk_bytes
    chunks = [data[at : at + step] for at in range(0, len(data), step)] or [b""]
    named = {chunk_cid(chunk): chunk for chunk in chunks}
    return named | {node.cid: node.block for node in tree.nodes()}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("size", [*SIZES, DEEP])
def test_a_content_is_what_its_blocks_hold(size, profile):
    """Of every size at which the tree changes its form, under every profile."""
    data = content(size)
    blocks = blocks_of(data, profile)
    cid = cid_of(data, profile)
    assert size_of(cid, blocks.__getitem__) == size
    assert b"".join(content_of(cid, profile, blocks.__getitem__)) == data


@given(data=st.data())
def test_no_node_is_read_that_a_profile_does_not_make(data):
    """Bytes of any kind under the CID of a node are a damaged content, and nothing else happens."""
    profile = next(iter(PROFILES.values()))
    good = blocks_of(content(600_000), profile)
    root = cid_of(content(600_000), profile)
    block = bytearray(good[cid_to_bytes(root)])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(block) - 1))
        block[at] = data.draw(st.integers(0, 255))
    block = bytes(block[: data.draw(st.integers(0, len(block)))]) + data.draw(st.binary(max_size=9))
    raw = bytes((1, 0x70, 0x12, 0x20)) + sha256(block).digest()
    cid = cid_from_bytes(raw)
    asked = []

    def fetch(wanted):
        asked.append(wanted)
        return {**good, raw: block}[wanted]

    try:
        found = b"".join(content_of(cid, profile, fetch))
    except (ContentCorrupted, KeyError):
        assert len(asked) < 5
    else:
        assert cid_of(found, profile) == cid


@pytest.fixture
def store(tmp_path):
    with open_store(f"file://{tmp_path}/store") as store:
        yield store


@pytest.fixture
def car(tmp_path, store):
    """A CAR with a content of each size."""
    path = tmp_path / "contents.car"
    assert export_car(store, [store.put(content(size)) for size in SIZES], path) == []
    return path


def test_a_car_has_what_was_exported(tmp_path, store, car):
    """Each content and its size, and the roots in their order; equal chunks stand in it once."""
    twice = store.put(content(262_144) * 2)
    absent = cid_of(b"nobody has it")
    again = tmp_path / "again.car"
    assert export_car(store, [twice, absent, twice], again) == [absent]
    assert again.stat().st_size < 263_000
    with open_car_store(f"car://{again}") as opened:
        assert opened.get(twice) == content(262_144) * 2
        assert opened.roots == [twice]
    with open_car_store(f"car://{car}", read_only=True) as opened:
        assert opened.roots == [cid_of(content(size)) for size in SIZES]
        for size, cid in zip(SIZES, opened.roots, strict=True):
            assert opened.get(cid) == b"".join(opened.get_stream(cid)) == content(size)
            assert opened.size(cid) == size
        assert not opened.has(absent)
        with pytest.raises(ContentTooLarge):
            opened.get(opened.roots[-1], max_bytes=100)
        for change in (lambda: opened.put(b"x"), lambda: opened.delete(cid)):
            with pytest.raises(StoreReadOnly):
                change()


@pytest.mark.parametrize("count", [0, 1, 23, 24, 255, 256, 300])
def test_a_header_names_any_number_of_contents(tmp_path, store, count):
    """The roots are read as they were written, whatever the width of their number."""
    cids = store.put_all([b"%d" % number for number in range(count)])
    export_car(store, cids, tmp_path / "many.car")
    with open_car_store(f"car://{tmp_path}/many.car") as opened:
        assert opened.roots == cids
        assert all(opened.has(cid) for cid in cids)


def test_contents_of_another_profile_travel_too(tmp_path):
    """What a store has under one profile, a CAR has, and a reader of the other finds it."""
    other = PROFILES["unixfs-v1-2025"]
    with open_store(f"file://{tmp_path}/store", profile=other) as store:
        cid = store.put(content(3_000_000))
        export_car(store, [cid], tmp_path / "other.car")
    with open_car_store(f"car://{tmp_path}/other.car") as opened:
        assert opened.get(cid) == content(3_000_000)


@pytest.mark.parametrize("where", ["header", "first block", "last byte"])
def test_a_car_that_is_cut_off_is_refused(car, where):
    """A file that lost its end is no store; nothing of it is read as if it were whole."""
    length = {"header": 20, "first block": 400, "last byte": car.stat().st_size - 1}[where]
    car.write_bytes(car.read_bytes()[:length])
    with pytest.raises(StoreUnavailable, match="no CARv1 that can be read"):
        open_car_store(f"car://{car}")


def test_a_byte_changed_in_a_car_is_found(car):
    """Wherever a content's bytes were changed, that content is damaged and the others are not."""
    data = bytearray(car.read_bytes())
    at = data.index(content(1_048_577)[500_000:500_020])
    data[at] ^= 1
    car.write_bytes(data)
    with open_car_store(f"car://{car}") as opened:
        for size, cid in zip(SIZES, opened.roots, strict=True):
            if size == 1_048_577:
                with pytest.raises(ContentCorrupted):
                    opened.get(cid)
            else:
                assert opened.get(cid) == content(size)


def test_a_car_without_a_block_says_what_to_do(car):
    """The content that lacks it is named, and what to do; others are there."""
    data, block = car.read_bytes(), content(SIZES[-1])[:262_144]
    at = data.index(block)  # behind three bytes of its length and its CID
    car.write_bytes(data[: at - 3 - len(chunk_cid(block))] + data[at + len(block) :])
    with open_car_store(f"car://{car}") as opened:
        [*others, lacking] = opened.roots
        with pytest.raises(
            ContentNotFound, match=f"{lacking}, or not all of it, in this file: have"
        ):
            opened.get(lacking)
        for size, cid in zip(SIZES, others, strict=False):
            assert opened.get(cid) == content(size)


@given(data=st.binary(max_size=400), keep=st.integers(0, 120))
def test_no_bytes_make_a_car_that_lies(data, keep, tmp_path_factory):
    """Any bytes, also behind a true beginning, are refused in words or hold only true contents."""
    folder = tmp_path_factory.mktemp("car")
    with open_store(f"file://{folder}/store") as store:
        export_car(store, [store.put(b"true")], folder / "true.car")
    bad = folder / "bad.car"
    bad.write_bytes((folder / "true.car").read_bytes()[:keep] + data)
    try:
        with open_car_store(f"car://{bad}") as opened:
            for raw in list(opened._blocks):
                try:
                    found = opened.get(cid_from_bytes(raw))
                except ContentCorrupted:
                    continue
                assert cid_of(found) == cid_from_bytes(raw)
    except StoreError:
        pass


@pytest.mark.parametrize(
    "url", ["car://host/x.car", "car:x.car", "car:///a?b", "car:///%00", "car:///x#y"]
)
def test_what_is_no_url_of_a_car_is_refused(url):
    """The text says what would be one."""
    with pytest.raises(ConfigError):
        open_store(url)


class Gateway(BaseHTTPRequestHandler):
    """A trustless gateway over blocks, which can be told to lie."""

    blocks: dict[str, bytes]
    answer = staticmethod(lambda handler, block: handler.give(block))
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path, _, query = self.path.partition("?")
        block = self.blocks.get(path.removeprefix("/ipfs/")) if query == "format=raw" else None
        if block is None:
            self.give(b"no such block", 404)
        else:
            type(self).answer(self, block)

    def give(self, body, status=200, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def gateway():
    """A gateway that has a content of each size, and its URL as a store."""
    profile = next(iter(PROFILES.values()))
    found = {}
    for size in SIZES:
        blocks = blocks_of(content(size), profile)
        found |= {cid_from_bytes(raw): block for raw, block in blocks.items()}
    kind = type("Gateway", (Gateway,), {"blocks": found})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield kind, f"ipfs+gateway+http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_gateway_gives_contents(gateway):
    """Every content with its size; what it does not have is not there, and nothing is changed."""
    _, url = gateway
    with open_store(url) as store:
        for size in SIZES:
            cid = cid_of(content(size))
            assert store.get(cid) == b"".join(store.get_stream(cid)) == content(size)
            assert store.size(cid) == size
        with pytest.raises(ContentNotFound):
            store.get(cid_of(b"none"))
        with pytest.raises(StoreReadOnly):
            store.put(b"x")


def test_a_gateway_is_asked_for_several_blocks_at_once_and_for_each_once(gateway, monkeypatch):
    """No more than it may be: the next ones when these have come."""
    kind, url = gateway
    monkeypatch.setattr(GatewayStore, "at_once", 4)
    size = SIZES[-1]  # twelve chunks below one node
    cid, asked, together = cid_of(content(size)), [], threading.Barrier(4)

    def answer(handler, block):
        name = handler.path.partition("?")[0].removeprefix("/ipfs/")
        asked.append(name)
        if name != cid:
            together.wait(20)
        handler.give(block)

    with open_store(url) as store:
        kind.answer = staticmethod(answer)
        assert b"".join(store.get_stream(cid)) == content(size)
    leaves = [name for name in asked if name != cid]
    assert len(leaves) == len(set(leaves)) == 12


@pytest.mark.parametrize("status", [401, 403, 410, 429, 503])
def test_a_gateway_that_refuses_is_not_waited_for(gateway, status):
    """One that is busy is, and one that has not the content may have it later."""
    kind, url = gateway
    with open_store(url) as store:
        kind.answer = staticmethod(lambda handler, _: handler.give(b"no", status))
        with pytest.raises(StoreError) as caught:
            store.get(cid_of(content(1)))
    assert may_pass(caught.value) is (status not in {401, 403})


LIES = {
    "other bytes": (lambda handler, block: handler.give(block[:-1] + b"!"), ContentCorrupted),
    "fewer bytes": (lambda handler, block: handler.give(block[:-1]), ContentCorrupted),
    "too many bytes": (lambda handler, _: handler.give(b"x" * 3_000_000), StoreUnavailable),
    "an error": (lambda handler, _: handler.give(b"sorry", 500), StoreUnavailable),
    "a redirect": (
        lambda handler, _: handler.give(b"", 302, Location="http://127.0.0.1:1/"),
        StoreUnavailable,
    ),
    "nothing": (lambda handler, _: handler.connection.close(), StoreUnavailable),
    "a web page": (lambda handler, _: handler.give(b"<html>"), ContentCorrupted),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_gateway_cannot_lie(gateway, lie):
    """Whatever it answers with, no byte of it is taken for the content."""
    kind, url = gateway
    with open_store(url) as store:
        kind.answer, error = staticmethod(LIES[lie][0]), LIES[lie][1]
        with pytest.raises(error) as found:
            store.get(cid_of(content(1_048_577)))
        if error is ContentCorrupted:
            assert str(found.value).endswith("says this gateway: ask another one")


def test_a_gateway_that_hangs_is_left(gateway):
    """At the deadline of the call."""
    kind, url = gateway
    over = threading.Event()
    with open_store(url) as store:
        kind.answer = staticmethod(lambda *_: over.wait(20))
        with pytest.raises(StoreTimedOut):
            store.get(cid_of(content(1)), timeout=0.3)
        over.set()


@pytest.mark.parametrize(
    "url",
    [
        "ipfs+gateway://",
        "ipfs+gateway://h/ipfs",
        "ipfs+gateway+http://h:99999",
        "ipfs+gateway://user:secret@h",
    ],
)
def test_what_is_no_gateway_is_refused(url):
    """The text says what would be one, and repeats no password."""
    with pytest.raises(ConfigError) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_a_real_daemon_reads_our_car_and_we_read_its(tmp_path, store, car, ipfs_daemon):
    """IPFS imports what is exported here, and what it exports is a store here; it keeps pins."""
    cids = [cid_of(content(size)) for size in SIZES]
    boundary = "b0undary"
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        + car.read_bytes()
        + f"\r\n--{boundary}--\r\n".encode()
    )
    ask(ipfs_daemon, "dag/import", body, f"multipart/form-data; boundary={boundary}")
    with open_store(ipfs_daemon.url, timeout=30.0) as daemon:
        for size, cid in zip(SIZES, cids, strict=True):
            assert daemon.get(cid) == content(size)
        own = daemon.put(b"of one store")
        daemon.pin(own)
        assert daemon.pins() == [own]
        daemon.unpin(own)
        assert daemon.pins() == []
    theirs = tmp_path / "theirs.car"
    theirs.write_bytes(ask(ipfs_daemon, f"dag/export?arg={cids[-1]}", b"", "text/plain"))
    with open_car_store(f"car://{theirs}") as opened:
        assert opened.roots == [cids[-1]]
        assert opened.get(cids[-1]) == content(SIZES[-1])
    assert store.has(cids[-1])


def ask(daemon, command, body, kind):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    try:
        connection.request("POST", f"/api/v0/{command}", body, {"Content-Type": kind})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, data
    return data
