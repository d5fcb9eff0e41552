"""A client of a store's server believes nothing: whatever answers, it says what is wrong."""

import dataclasses
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support.anvil import free_port
from support.clock import Clock
from support.store_server import WRITER

from fedledger.effects import Effects
from fedledger.errors import (
    ConfigError,
    ContentCorrupted,
    ContentNotFound,
    ContentTooLarge,
    StoreError,
    StoreInconsistent,
    StoreTimedOut,
    StoreUnavailable,
    StoreUnsupported,
)
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.storage import patience
from fedledger.ledger_plugins.storage.cid import DEFAULT_PROFILE, PROFILES, cid_of
from fedledger.ledger_plugins.storage.served import ServedStore, open_served_store

DATA = bytes(range(256)) * 2000
CID = cid_of(DATA)
HTML = b"<html><body>Welcome to this hotel. <a href='/login'>Log in</a></body></html>"
STATUS = {"service": "fedledger store", "profile": DEFAULT_PROFILE.name}
CONTENT = f"/v1/contents/{CID}"


class Liar:
    """A server that answers what a test says.

    Attributes:
        says: what is answered by path: JSON, bytes, a status with headers, or a function that
            writes to the connection itself.
        asked: method, path and headers of what came.
    """

    def __init__(self):
        self.says = {"/v1/status": STATUS, f"{CONTENT}/size": {"bytes": len(DATA)}, CONTENT: DATA}
        self.asked = []
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                liar.asked.append((self.command, self.path, dict(self.headers)))
                said = liar.says.get(self.path.partition("?")[0], (404, {}))
                if callable(said):
                    self.close_connection = True
                    try:
                        said(self.wfile)
                    except OSError:  # the client has had enough
                        return
                    return
                status, headers, body = 200, {}, said
                if isinstance(said, tuple):
                    (status, headers), body = said, b""
                    headers = dict(headers)
                    body = headers.pop("body", b"")
                if not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the base's names

            def log_message(self, *_):
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"store+http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)


@pytest.fixture
def liar():
    server = Liar()
    yield server
    server.close()


def endless(wfile):
    """Give bytes for ever."""
    wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        wfile.write(bytes(65_536))


def nothing(wfile):
    """Say nothing, and go."""


def half(wfile):
    """Break off in the middle."""
    wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(DATA) + DATA[:1000])


def test_an_honest_answer_is_taken(liar):
    """So the refusals below are for what was changed."""
    with open_store(liar.url) as store:
        assert store.get(CID) == b"".join(store.get_stream(CID)) == DATA


READS = {
    "get": lambda store, cid: store.get(cid),
    "get_stream": lambda store, cid: b"".join(store.get_stream(cid)),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
@pytest.mark.parametrize("what", ["good", "of another profile", "wrong", "absent"])
def test_a_content_comes_over_the_network_once(liar, read, what):
    """Whatever profile has made it, right or wrong; what is not there is looked for once."""
    profile = PROFILES["unixfs-v1-2025"] if what == "of another profile" else DEFAULT_PROFILE
    cid = cid_of(DATA, profile)
    path = f"/v1/contents/{cid}"
    liar.says = {"/v1/status": STATUS}
    if what != "absent":
        liar.says |= {path: DATA[:-1] + b"!" if what == "wrong" else DATA}
        liar.says |= {f"{path}/size": {"bytes": len(DATA)}}
    else:
        liar.says[f"{path}/size"] = (404, {"body": {"error": "ContentNotFound", "message": ""}})
    with open_store(liar.url) as store:
        if what in {"wrong", "absent"}:
            with pytest.raises(ContentCorrupted if what == "wrong" else ContentNotFound):
                read(store, cid)
        else:
            assert read(store, cid) == DATA
    asked = [place for _, place, _ in liar.asked]
    assert asked.count(f"{path}/size") == 1
    assert asked.count(path) == (0 if what == "absent" else 1)


def test_a_stream_that_nobody_reads_leaves_no_file(liar, monkeypatch):
    """It was copied to be checked; the copy is gone with the stream, in the middle of it too."""
    drafts, draft = [], ServedStore._draft

    def noted(self):
        drafts.append(draft(self))
        return drafts[-1]

    monkeypatch.setattr(ServedStore, "_draft", noted)
    with open_store(liar.url) as store:
        store.get_stream(CID)
        next(store.get_stream(CID))
        b"".join(store.get_stream(CID))
        liar.says[CONTENT] = HTML
        with pytest.raises(ContentCorrupted):
            store.get_stream(CID)
    assert [getattr(file, "closed", None) for file in drafts] == [True] * 4


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (DATA[:-1] + b"\0", ContentCorrupted),
        (DATA[:-1], ContentCorrupted),
        (DATA + b"\0", StoreInconsistent),
        (b"", ContentCorrupted),
        (HTML, ContentCorrupted),
        (endless, StoreInconsistent),
        (nothing, StoreUnavailable),
        (half, StoreUnavailable),
        ((302, {"location": "http://127.0.0.1:1/"}), StoreUnavailable),
        ((200, {"content-encoding": "gzip", "body": DATA[:-1]}), ContentCorrupted),
        ((404, {"body": {"error": "ContentNotFound", "message": "gone"}}), ContentNotFound),
        ((500, {"body": HTML}), StoreUnavailable),
        ((204, {}), StoreUnavailable),
    ],
    ids=lambda says: getattr(says, "__name__", None),
)
def test_a_content_that_is_none_is_refused(liar, says, error):
    """Other bytes, fewer, more, none, endless ones, pages, redirects: one error of the store's."""
    liar.says[CONTENT] = says
    with open_store(liar.url) as store:
        for read in (store.get, store.get_stream):
            with pytest.raises(StoreError) as caught:
                read(CID)
            assert type(caught.value) is error, caught.value
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "says",
    [
        HTML,
        b"",
        b"[]",
        b"{}",
        b'{"bytes": 1.5}',
        b'{"bytes": -1}',
        b'{"bytes": "5"}',
        b"[" * 100_000,
        b'{"bytes": 1' + b"0" * 5_000 + b"}",
        endless,
        nothing,
        (301, {"location": "/v1/status"}),
        (418, {"body": {"error": "Teapot", "message": "\x1b[31mred\n" + "x" * 10_000}}),
    ],
    ids=range(13),
)
def test_a_size_that_is_none_is_refused(liar, says):
    """Whatever is no size of a store's server is StoreUnavailable, on one short line."""
    liar.says[f"{CONTENT}/size"] = says
    with open_store(liar.url) as store, pytest.raises(StoreUnavailable) as caught:
        store.size(CID)
    assert len(str(caught.value)) < 1_000
    assert "\n" not in str(caught.value)


def test_a_size_above_the_cap_costs_nothing(liar):
    """Of what is stated as too large no byte is asked for."""
    liar.says[f"{CONTENT}/size"] = {"bytes": 2**62}
    with open_store(liar.url) as store, pytest.raises(ContentTooLarge):
        store.get(CID)
    assert CONTENT not in [path for _, path, _ in liar.asked]


@pytest.mark.parametrize(
    "says",
    [
        HTML,
        {"service": "another", "profile": DEFAULT_PROFILE.name},
        {"service": "fedledger store", "profile": "unheard-of"},
        {"service": "fedledger store"},
        (404, {}),
        (302, {"location": "http://127.0.0.1:1/"}),
        endless,
        nothing,
    ],
    ids=range(8),
)
def test_who_is_no_store_is_not_opened(liar, says):
    """A page of a hotel, another service, another version: said when it is opened."""
    liar.says["/v1/status"] = says
    with pytest.raises((StoreUnavailable, ConfigError, LookupError)):
        open_store(liar.url)


def test_a_profile_has_to_be_the_servers(liar):
    """New content would get a CID that the server does not give it."""
    with pytest.raises(ConfigError, match="it cannot be opened with 'unixfs-v1-2025'"):
        open_store(liar.url, profile="unixfs-v1-2025")
    liar.says["/v1/status"] = STATUS | {"profile": "unixfs-v1-2025"}
    with open_store(liar.url) as store:
        assert store.profile == "unixfs-v1-2025"


def test_pins_that_have_no_end_are_refused(liar):
    """Pages that repeat, run backwards or never end."""
    first, second = sorted((cid_of(b"1"), cid_of(b"2")))
    for page in (
        {"pins": [second, first], "more": False},
        {"pins": [first, first], "more": False},
        {"pins": [first, second], "more": True},
        {"pins": [], "more": True},
    ):
        liar.says["/v1/pins"] = page
        with open_store(liar.url) as store, pytest.raises(StoreUnavailable):
            store.pins()


def test_what_the_server_refuses_is_said(liar):
    """Each answer becomes the error that it stands for; a stranger's text stays on its line."""
    answers = {
        (413, "ContentTooLarge"): ContentTooLarge,
        (501, "StoreUnsupported"): StoreUnsupported,
        (504, "StoreTimedOut"): StoreUnavailable,  # of a change: it says nothing of a content
        (507, "Refused"): StoreUnavailable,
        (401, "Refused"): StoreUnavailable,
        (400, "SystemExit"): StoreUnavailable,
    }
    with open_store(liar.url, account=WRITER) as store:
        for (status, kind), error in answers.items():
            body = {"error": kind, "message": "it\nsaid\x00so", "size": 5, "limit": 4}
            liar.says[CONTENT] = (status, {"body": body})
            with pytest.raises(error) as caught:
                store.put(DATA)
            assert "\n" not in str(caught.value)
        liar.says[f"{CONTENT}/size"] = (
            504,
            {"body": {"error": "StoreTimedOut", "message": "", "seconds": 8.0}},
        )
        with pytest.raises(StoreTimedOut, match="8 s"):
            store.size(CID)


def test_a_server_that_is_busy_is_asked_again(liar):
    """With pauses, and signed anew; the content is sent whole each time."""
    answers = [(503, {"body": {"error": "Refused", "message": "busy"}})] * 2 + [{"stored": CID}]

    def says(path, default=None):
        return answers.pop(0) if path == CONTENT else STATUS

    with open_store(liar.url, account=WRITER) as store:
        liar.says = type("Says", (), {"get": staticmethod(says)})()
        began = time.monotonic()
        assert store.put(DATA) == CID
        assert time.monotonic() - began > 0.25
    sent = [headers for method, _, headers in liar.asked if method == "PUT"]
    assert len(sent) == 3
    assert len({headers["authorization"] for headers in sent}) == 3
    assert {headers["content-length"] for headers in sent} == {str(len(DATA))}


REFUSED = {"error": "Refused", "message": "no"}


@pytest.mark.parametrize(
    ("says", "lasting"),
    [
        ((401, {"body": REFUSED}), True),
        ((403, {"body": REFUSED}), True),
        ((409, {"body": REFUSED}), True),
        ((413, {"body": REFUSED | {"error": "ContentTooLarge", "size": 2, "limit": 1}}), True),
        ((501, {"body": REFUSED | {"error": "StoreUnsupported"}}), True),
        ((403, {"body": HTML}), True),
        ((302, {"location": "http://127.0.0.1:1/"}), True),
        (HTML, True),
        (endless, True),
        ((408, {"body": REFUSED}), False),
        ((429, {"body": REFUSED}), False),
        ((500, {"body": HTML}), False),
        ((502, {"body": REFUSED}), False),
        ((503, {"body": REFUSED}), False),
        ((507, {"body": REFUSED}), False),
        (nothing, False),
    ],
    ids=lambda says: str(says[0]) if isinstance(says, tuple) else getattr(says, "__name__", None),
)
def test_a_refusal_is_said_at_once_and_what_may_pass_is_waited_for(liar, says, lasting):
    """By who has something to put: of what stays so no second is lost, of the rest two minutes."""
    clock = Clock()
    effects = dataclasses.replace(Effects.real(), clock=clock)
    liar.says[f"/v1/contents/{cid_of(b'small')}"] = says
    with open_served_store(liar.url, account=WRITER, effects=effects) as store:
        with pytest.raises(StoreError) as caught:
            patience.put_all(store, [b"small"], clock)
        assert patience.may_pass(caught.value) is not lasting
    assert (clock.now < 1) is lasting
    assert clock.now == pytest.approx(0 if lasting else patience.AWAY, abs=40)
    if lasting:
        assert len([method for method, _, _ in liar.asked if method == "PUT"]) == 1


@pytest.mark.parametrize(("status", "lasting"), [(401, True), (403, True), (500, False)])
def test_a_daemon_behind_a_password_refuses_at_once(liar, status, lasting):
    """And one in trouble may be out of it a moment later; no password is repeated."""
    liar.says["/api/v0/version"] = (status, {"body": HTML})
    with pytest.raises(StoreUnavailable) as caught:
        open_store(liar.url.replace("store+http://", "ipfs+http://me:secret@"))
    assert patience.may_pass(caught.value) is not lasting
    assert "secret" not in str(caught.value)


def test_who_hangs_up_once_is_asked_again(liar):
    """As a server does that closed a kept connection, or is starting anew; not for ever."""
    answers = [nothing, {"bytes": 5}]

    def says(path, default=None):
        if path == "/v1/status":
            return STATUS
        return answers.pop(0) if answers else nothing

    with open_store(liar.url) as store:
        liar.says = type("Says", (), {"get": staticmethod(says)})()
        assert store.size(CID) == 5
        with pytest.raises(StoreUnavailable):
            store.size(CID)
    assert answers == []


def test_no_secret_goes_to_a_server(liar):
    """It sees an address and a signature, and of who reads nothing at all."""
    liar.says[CONTENT] = {"stored": CID}
    with open_store(liar.url, account=WRITER) as store:
        store.put(DATA)
        store.size(CID)
    key = (b"\7" * 32).hex()
    for method, _, headers in liar.asked:
        assert key not in str(headers)
        assert ("authorization" in headers) == (method == "PUT")


@pytest.mark.parametrize(
    "url",
    [
        "store+http://",
        "store+ftp://host:1",
        "store://host:1",
        "store+http://host:0",
        "store+http://host:99999",
        "store+http://user:secret@host:1",
        "store+http://host:1/path",
        "store+http://host:1?token=secret",
        "store+http://host:1?timeout=soon",
        "store+http://host:1#part",
        "store+http://[::1",
    ],
)
def test_what_is_no_url_is_said(url):
    """Before anything is asked; a password that somebody wrote into it is not repeated."""
    with pytest.raises(ConfigError) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_nobody_listens():
    """The sentence names the place."""
    url = f"store+http://127.0.0.1:{free_port()}"
    with pytest.raises(StoreUnavailable, match=url.removeprefix("store+")):
        open_store(url)
