"""A store's server: who may write, how much, and what strangers cannot do to it."""

import hashlib
import re
import socket
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from support.store_server import PASSWORD, WRITER, StoreServer, named_account

from fedledger.cli.nodes.store import serve
from fedledger.effects import Clock, Effects
from fedledger.errors import (
    AccountError,
    ContentTooLarge,
    FedledgerError,
    StoreUnavailable,
    StoreUnsupported,
)
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.ledger_plugins.storage.requests import StoreRequest

OTHER = Account.from_key(b"\10" * 32)
STRANGER = Account.from_key(b"\11" * 32)
MB = 1_000_000
MOST, QUOTA = 3 * MB, 5 * MB


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for two accounts, with small limits, for all tests that leave it running."""
    options = ("--allow", WRITER.address, "--allow", OTHER.address.lower(), "--deadline", "6")
    limits = ("--max-bytes", str(MOST), "--quota", str(QUOTA), "--at-once", "1")
    with StoreServer(tmp_path_factory.mktemp("server"), *options, *limits) as running:
        yield running


@pytest.fixture
def store(server):
    with open_store(server.url, account=WRITER) as opened:
        yield opened


def content(text: str, size: int = 1000) -> bytes:
    """Return bytes that no other test stores."""
    return hashlib.shake_128(text.encode()).digest(size)


def signed(server, action, cid, size, *, account=WRITER, name=None, ago=0.0):
    """Return the header of a change, as a writer signs it."""
    request = StoreRequest(
        account=account.address,
        server=name or server.name,
        action=action,
        content=cid,
        size=size,
        issued=int((time.time() - ago) * 1000),
    )
    return {"authorization": request.header(account)}


def put(server, data, headers, cid=None):
    """Send a content as somebody does who speaks HTTP himself."""
    url = f"{server.http}/v1/contents/{cid or cid_of(data)}"
    return httpx.put(url, content=data, headers=headers, timeout=30)


def files(server):
    """Return what lies behind the server, drafts too."""
    return sorted(path.name for path in server.behind.rglob("*") if path.is_file())


# Who may write --------------------------------------------------------------------------------


def test_anybody_reads_and_only_named_accounts_write(server, store, monkeypatch):
    """Without an account, or with one that is not named, nothing is stored; reading needs none."""
    data = content("who")
    for name in ("FEDLEDGER_ACCOUNT", "FEDLEDGER_ACCOUNT_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with open_store(server.url) as nobody, open_store(server.url, account=STRANGER) as stranger:
        with pytest.raises(AccountError, match="FEDLEDGER_ACCOUNT"):
            nobody.put(data)
        with pytest.raises(StoreUnavailable, match=f"account {STRANGER.address} may not write"):
            stranger.put(data)
        assert cid_of(data) not in files(server)
        cid = store.put(data)
        assert nobody.get(cid) == stranger.get(cid) == data
        for change in (stranger.pin, stranger.unpin):
            with pytest.raises(StoreUnavailable, match="may not write"):
                change(cid)


def test_the_environment_names_the_account(server, monkeypatch, tmp_path):
    """By its file, the password in a variable or a file; a wrong one is said, and not shown."""
    named_account(monkeypatch, tmp_path)
    with open_store(server.url) as store:
        assert store.put(content("environment")) == cid_of(content("environment"))
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_text("wrong secret\n")
    monkeypatch.setenv("FEDLEDGER_ACCOUNT_PASSWORD_FILE", str(tmp_path / "password"))
    with open_store(server.url) as store, pytest.raises(AccountError) as caught:
        store.put(b"x")
    assert "wrong secret" not in str(caught.value)
    (tmp_path / "password").write_text(PASSWORD)
    with open_store(server.url) as store:
        store.put(content("environment"))
        assert PASSWORD not in repr(store)


def test_a_signature_serves_for_nothing_else(server):
    """Not for another server, content, size or action, by nobody else, and not when it is old."""
    data, other = content("signature"), content("another")
    cid = cid_of(data)
    good = signed(server, "put", cid, len(data))
    text = good["authorization"]
    wrong = {
        "another server": (403, signed(server, "put", cid, len(data), name="store.example:7100")),
        "another content": (401, signed(server, "put", cid_of(other), len(data))),
        "another size": (401, signed(server, "put", cid, len(data) - 1)),
        "another action": (401, signed(server, "pin", cid, len(data))),
        "an old one": (403, signed(server, "put", cid, len(data), ago=301.0)),
        "one to come": (403, signed(server, "put", cid, len(data), ago=-900.0)),
        "nobody's": (401, {}),
        "another account": (401, {"authorization": text.replace(WRITER.address, OTHER.address)}),
        "a flipped bit": (401, {"authorization": text[:-5] + ("0" if text[-5] != "0" else "1")}),
        "no text of ours": (401, {"authorization": "Bearer secret"}),
        "a later time": (401, {"authorization": re.sub(r"issued=\d", "issued=9", text)}),
    }
    for what, (status, headers) in wrong.items():
        answer = put(server, data, headers)
        assert answer.status_code == status, what
        assert set(answer.json()) == {"error", "message"}, what
        assert cid not in files(server), what
    named = put(server, data, wrong["another server"][1]).json()["message"]
    assert "store.example:7100" in named
    assert server.name in named
    assert put(server, data, good).json() == {"stored": cid}


def test_a_wrong_clock_is_said_with_both_times(server):
    """The sentence names the writer's time and the server's, and nothing is stored."""

    class Behind(Clock):
        def wall(self):
            return time.time() - 3600

        def monotonic(self):
            return time.monotonic()

        def sleep(self, seconds):
            time.sleep(seconds)

    effects = replace(Effects.real(), clock=Behind())
    with open_store(server.url, account=WRITER, effects=effects) as store:
        with pytest.raises(StoreUnavailable, match="set the clock that is wrong") as caught:
            store.put(content("clock"))
        times = re.findall(r"(\d\d:\d\d):\d\d UTC", str(caught.value))
    assert len(set(times)) == 2
    assert cid_of(content("clock")) not in files(server)


def test_what_was_heard_once_does_not_count_again(server, store):
    """A pin that somebody recorded pins nothing once its account has let go."""
    cid = store.put(content("replay"))
    headers = signed(server, "pin", cid, 0)
    url = f"{server.http}/v1/pins/{cid}"
    assert httpx.put(url, headers=headers).status_code == 200
    assert store.pins() == [cid]
    store.unpin(cid)
    again = httpx.put(url, headers=headers)
    assert again.status_code == 409
    assert "signed later" in again.json()["message"]
    assert store.pins() == []


def test_an_account_pins_what_it_brought_and_lets_go_of_its_own_pins(server, store):
    """Another's pin stays, and so does one that the operator made in the store itself."""
    cid = store.put(content("pins"))
    with (
        open_store(server.url, account=OTHER) as other,
        open_store(server.behind.as_uri()) as operator,
    ):
        with pytest.raises(StoreUnavailable, match="it pins its own"):
            other.pin(cid)
        other.put(content("pins"))
        store.pin(cid)
        other.pin(cid)
        store.unpin(cid)
        assert store.pins() == [cid]
        other.unpin(cid)
        assert store.pins() == []
        operator.pin(cid)
        store.pin(cid)
        store.unpin(cid)
        assert operator.pins() == [cid]
        operator.unpin(cid)
        with pytest.raises(StoreUnsupported, match="delete"):
            store.delete(cid)


# How much -------------------------------------------------------------------------------------


def test_a_content_that_is_too_large_is_refused_before_it_comes(server, store):
    """By its stated size, whether it was offered first or not."""
    with pytest.raises(ContentTooLarge) as caught:
        store.put(bytes(MOST + 1))
    assert (caught.value.size, caught.value.limit) == (MOST + 1, MOST)
    data = bytes(MOST + 1)
    with closing(socket.create_connection(server.name.split(":"))) as connection:
        headers = signed(server, "put", cid_of(data), len(data))
        connection.sendall(head(server, cid_of(data), len(data), headers))
        connection.settimeout(10)
        assert b" 413 " in connection.recv(4096)
    assert cid_of(data) not in files(server)


def test_an_account_has_its_quota_and_others_have_theirs(tmp_path):
    """What does not fit is refused with the numbers; what is there counts once; small ones too.

    A server that is told to stop in the middle of an upload ends, and leaves nothing of it.
    """
    options = ("--allow", WRITER.address, "--allow", OTHER.address, "--quota", str(20_000))
    with StoreServer(tmp_path, *options) as server:
        with open_store(server.url, account=WRITER) as store:
            first = content("first", 9_000)
            for _ in range(3):
                store.put(first)
            store.put(b"counts for 4096")
            with pytest.raises(StoreUnavailable, match="13096 of 20000 bytes here: 9000 more"):
                store.put(content("second", 9_000))
            assert cid_of(content("second", 9_000)) not in files(server)
        with open_store(server.url, account=OTHER) as other:
            other.put(content("second", 9_000))
        with closing(begun(server, content("stopped", 6_000), 100)):
            until(lambda: drafts(server))
            assert server.stop() == 0
        assert not drafts(server)


def test_other_bytes_than_were_signed_are_not_stored(server):
    """Under the CID of something else: refused, and nothing is left."""
    data = content("right", 300_000)
    answer = put(
        server, b"x" + data[1:], signed(server, "put", cid_of(data), len(data)), cid_of(data)
    )
    assert answer.status_code == 400
    assert answer.json()["error"] == "ContentCorrupted"
    assert files(server) == [name for name in files(server) if not name.startswith(".")]
    assert cid_of(data) not in files(server)


# Who holds up whom ----------------------------------------------------------------------------


def head(server, cid, size, headers):
    """Return the head of an upload, as it goes over the wire."""
    lines = [f"PUT /v1/contents/{cid} HTTP/1.1", f"host: {server.name}", f"content-length: {size}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def begun(server, data, sent, account=OTHER):
    """Begin an upload by hand, and send so many bytes of it."""
    host, port = server.name.split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    cid = cid_of(data)
    headers = signed(server, "put", cid, len(data), account=account)
    connection.sendall(head(server, cid, len(data), headers) + data[:sent])
    return connection


def until(true):
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def drafts(server):
    return [name for name in files(server) if name.startswith(".")]


def test_an_upload_that_breaks_off_leaves_nothing(server, store):
    """Its draft is gone, the content is not there, and the account may send again."""
    data = content("broken off", 2 * MB)
    with closing(begun(server, data, MB)):
        until(lambda: drafts(server))
    until(lambda: not drafts(server))
    assert cid_of(data) not in files(server)
    with open_store(server.url, account=OTHER) as other:
        assert other.put(data) == cid_of(data)


def test_who_sends_slowly_is_cut_off_and_holds_up_nobody(server, store):
    """It has the deadline for each 256 KiB; meanwhile others read and write."""
    data = content("slow", 2 * MB)
    with closing(begun(server, data, 300_000)) as slow:
        until(lambda: drafts(server))
        began = time.monotonic()
        cid = store.put(content("quick"))
        assert store.get(cid) == content("quick")
        slow.settimeout(60)
        said = slow.recv(4096)
        assert time.monotonic() - began < 30
        assert said == b"" or b" 408 " in said
    until(lambda: not drafts(server))
    assert cid_of(data) not in files(server)


def test_an_account_sends_so_many_at_once(server):
    """A second content of the same account waits until the first one has come or broken off."""
    data = content("at once", 2 * MB)
    connection = begun(server, data, MB)
    until(lambda: drafts(server))
    threading.Timer(1.5, connection.close).start()
    with open_store(server.url, account=OTHER) as other:
        answer = put(server, b"y", signed(server, "put", cid_of(b"y"), 1, account=OTHER))
        assert (answer.status_code, "already" in answer.json()["message"]) == (503, True)
        assert other.put(b"y") == cid_of(b"y")


def test_strangers_get_short_answers(server):
    """Whatever is asked: no page, no stack, no byte of a file that is no content."""
    hostile = [
        ("GET", "/"),
        ("GET", "/v1/contents/../../server/uses.db"),
        ("GET", "/v1/contents/%2e%2e%2f%2e%2e%2fserver%2fuses.db"),
        ("GET", "/v1/contents/" + "b" * 59),
        ("GET", "/v1/contents/" + "b" * 9000),
        ("GET", f"/v1/contents/{cid_of(b'not here')}"),
        ("GET", "/v1/pins?after=\udcff".encode("utf-8", "surrogatepass").decode("latin-1")),
        ("DELETE", f"/v1/contents/{cid_of(b'x')}"),
        ("PUT", f"/v1/pins/{cid_of(b'x')}"),
        ("POST", f"/v1/contents/{cid_of(b'x')}?size=9999999999999999999999"),
        ("POST", f"/v1/contents/{cid_of(b'x')}?size=-1"),
        ("POST", f"/v1/contents/{cid_of(b'x')}?size=%D9%A1"),
        ("POST", "/v1/status"),
    ]
    for method, path in hostile:
        answer = httpx.request(method, server.http + path, timeout=30)
        assert answer.status_code in range(400, 500) or "pins" in path, (method, path)
        assert len(answer.content) < 2_000
        assert b"Traceback" not in answer.content
    body = httpx.put(f"{server.http}/v1/contents/{cid_of(b'x')}", content=iter([b"x"]), timeout=30)
    assert (body.status_code, body.json()["message"][:14]) == (411, "how many bytes")
    assert "Traceback" not in server.log


def test_who_asks_too_often_waits(tmp_path):
    """An address that has used up its allowance is refused, and a store's client waits for more."""
    with StoreServer(tmp_path, "--allow", WRITER.address, "--rate", "4") as server:
        codes = []
        with httpx.Client(base_url=server.http) as http:
            for _ in range(30):
                try:
                    codes.append(http.get("/v1/status").status_code)
                except httpx.HTTPError:
                    codes.append(0)  # hung up on: a connection counts as well
        assert {200, 429} <= set(codes) <= {200, 429, 0}
        with open_store(server.url, account=WRITER) as store:
            assert store.get(store.put(b"in time")) == b"in time"


# Faults ---------------------------------------------------------------------------------------

_FULL = """
import errno, os
from fedledger.effects.real import disk
kept = disk._SystemFile.write
def write(self, start, data):
    if start + len(data) > 500_000:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    kept(self, start, data)
disk._SystemFile.write = write
from fedledger.cli import main; main()
"""


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    """The writer hears whose disk it is; small contents are stored and read as before."""
    server = StoreServer(tmp_path, "--allow", WRITER.address, program=_FULL)
    with server, open_store(server.url, account=WRITER) as store:
        small = store.put(content("small"))
        for data in (content("large", 900_000), content("larger", 2 * MB)):
            with pytest.raises(StoreUnavailable, match=r"\(507\): the disk of this server is full"):
                store.put(data)
        assert files(server) == [small]
        assert store.get(small) == content("small")


def test_a_server_that_is_killed_has_what_it_acknowledged(tmp_path):
    """And nothing that it did not: what was on its way is not there, and can come again.

    Pins and quotas go on; meanwhile no second server takes the same notes.
    """
    server = StoreServer(tmp_path, "--allow", WRITER.address, "--quota", str(3 * MB))
    with server:
        with open_store(server.url, account=WRITER) as store:
            kept = store.put(content("kept", 300_000))
            store.pin(kept)
        second = StoreServer(tmp_path, "--allow", WRITER.address)
        with pytest.raises(AssertionError, match="is another server's, which runs"):
            second.start()
        second.kill()
        data = content("on its way", 2 * MB)
        with closing(begun(server, data, MB, account=WRITER)):
            until(lambda: drafts(server))
            server.kill()
        server.start()
        with open_store(server.url, account=WRITER) as store:
            assert store.get(kept) == content("kept", 300_000)
            assert store.pins() == [kept]
            assert not store.has(cid_of(data))
            assert store.put(data) == cid_of(data)
            with pytest.raises(StoreUnavailable, match="2300000 of 3000000 bytes"):
                store.put(content("too much", MB))
            store.unpin(kept)
            assert store.pins() == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"allow": []}, "nobody may write"),
        ({"allow": ["0x12"]}, "is no address"),
        ({"task": [1]}, "--task and --ledger go together"),
        ({"name": ["no name"]}, "HOST:PORT wanted"),
        ({"key": Path("key.pem")}, "--certificate and --key"),
        ({"listen": "0.0.0.0:0"}, "how do writers call this server"),
        ({"listen": "nowhere"}, "is no address to listen on"),
    ],
)
def test_wrong_settings_are_said(tmp_path, monkeypatch, options, said):
    """Before anything is served, in one sentence; no folder is made.

    On all addresses a server needs a name: requests are signed for the one in the writer's URL.
    """
    monkeypatch.setattr("fedledger.cli.nodes.store.log_to_stderr", lambda: None)
    given = {"allow": [WRITER.address], "listen": "127.0.0.1:0"} | options
    with pytest.raises(FedledgerError, match=said):
        serve(store=f"file://{tmp_path}/behind", data=tmp_path / "server", **given)
    assert list(tmp_path.iterdir()) == []
