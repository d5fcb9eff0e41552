"""Hostile strangers, clients and peers against real node processes: honest ones are still served.

Attackers come from addresses of their own (127.0.0.2 and up), since what a node allows it allows by
address.
"""

import asyncio
import itertools
import socket
import statistics
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest
from support.cores import Bench, mine, sealed
from support.evil import EvilPeer
from support.nodes import ADMIN, Cluster, wait_for

from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.local.node.chain.envelope import Envelope
from fedledger.ledger_plugins.local.node.http.wire import pack, unpack
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.ledger_plugins.transactions import MAX_TRANSACTION_BYTES

HONEST = Account.from_key(b"\5" * 32)
QUICK = 5.0
"""Seconds in which an honest client is answered, whatever goes on."""

GROWTH = 192 * 1024 * 1024
"""Bytes by which a node may grow under attack: answers of 16 MiB to one address, and slack."""

DEADLINE = 3.0
CONTENT = b"\0" * (16 * 1024 * 1024)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two mining nodes with short deadlines; HONEST has 1,000."""
    options = ["--mine", "--interval", "0.3", "--deadline", str(DEADLINE), "--rate", "200"]
    new = ["--admin", ADMIN.address, "--difficulty-bits", "2", "--chain-id", "7"]
    cluster = Cluster(tmp_path_factory.mktemp("hostile"), [options] * 2, new)
    try:
        cluster.start()
        with cluster.nodes[0].ledger() as ledger:
            StakeToken(ledger).mint(ADMIN, HONEST.address, 1_000)
        yield cluster
    finally:
        cluster.stop()


def memory(node):
    """Return the resident bytes of a node's process."""
    status = Path(f"/proc/{node.pid}/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


class Watch:
    """Asks all nodes all the time, from 127.0.0.1, while something goes on.

    Leaving it checks that honest clients were served quickly and that no node has grown too much,
    and that a transfer made now is in a block on all nodes.
    """

    def __init__(self, cluster):
        self.cluster = cluster
        self._end = threading.Event()
        self._took = []
        self._before = [memory(node) for node in cluster.nodes]
        self._grown = 0
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._end.wait(0.1):
            for node in self.cluster.nodes:
                began = time.monotonic()
                node.status()
                self._took.append(time.monotonic() - began)
            self._grown = max(self._grown, *self.grown())

    def grown(self):
        pairs = zip(self.cluster.nodes, self._before, strict=True)
        return [memory(node) - before for node, before in pairs]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.transfer()
        finally:
            self._end.set()
            self._thread.join()
        if kind is None:
            quick = statistics.quantiles(self._took, n=10)[-1]
            assert quick < QUICK, f"one in ten took more than {quick:.1f} s"
            assert self._grown < GROWTH
            self.cluster.agree(60)

    def transfer(self):
        """Move stake through one node and see it on all of them."""
        sink = Account.create().address
        with self.cluster.nodes[0].ledger() as ledger:
            StakeToken(ledger).transfer(HONEST, sink, 1)
        for node in self.cluster.nodes:
            wait_for(partial(balance, node, sink), 60, f"{node.log}: the transfer is not there")


def balance(node, address):
    with node.ledger() as ledger:
        return StakeToken(ledger).balance(address)


def client(node, address):
    """Return an HTTP client that comes from another address."""
    return httpx.Client(
        base_url=node.url,
        transport=httpx.HTTPTransport(local_address=address),
        timeout=10,
        trust_env=False,
    )


def shout(node, data, address):
    """Send bytes and return what comes until the node hangs up."""
    host, port = node.address.split(":")
    with socket.create_connection((host, int(port)), 10, (address, 0)) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionError:
            pass  # hung up on while still talking
    return answer


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"\x00" * 5_000,
    b"GET\r\n\r\n",
    b"GET / HTTP/nine\r\n\r\n",
    b"GET /status HTTP/1.1\r\n\r\n",
    b"GET /status HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    b"GET /%ff%fe\xff HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET /status HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /pool HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
    b"POST /pool HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 7\r\n\r\n",
    b"POST /pool HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"\r\n" * 3_000 + b"x",
]


def test_bytes_that_are_no_http_are_hung_up_on(cluster):
    """Whatever bytes come, the node answers 400 or nothing and hangs up, and says who it was."""
    node = cluster.nodes[0]
    with Watch(cluster):
        for garbage in GARBAGE:
            assert shout(node, garbage, "127.0.0.2")[:13] in {b"", b"HTTP/1.1 400 "}
    assert "127.0.0.2: sends what is no HTTP" in node.said()


DEEP = b'{"a":' * 20_000
REQUESTS = [
    ("DELETE", "/status", b"", {405}),
    ("POST", "/status", DEEP, {405}),
    ("GET", "/blocks", b"", {422}),
    ("GET", "/blocks?after=zz", b"", {400}),
    ("GET", "/blocks?after=" + "00" * 32, b"", {404}),
    ("GET", "/blocks?after=" + ",".join(["11" * 32] * 900), b"", {404}),
    ("GET", "/blocks?after=" + "a" * 60_000, b"", {400}),
    ("GET", "/block/12", b"", {400}),
    ("GET", "/block/" + "ff" * 32, b"", {404}),
    ("PUT", "/block/" + "ff" * 32, b"block", {405}),
    ("POST", "/blocks", b"block", {405}),
    ("GET", "/content/..%2f..%2fnode.db", b"", {404}),
    ("GET", "/content/Qm", b"", {404}),
    ("POST", "/pool", DEEP[:9_000], {422}),
    ("POST", "/pool", b"\xff" * 8, {422}),
    ("POST", "/pool", bytes(200_000), {413}),
    ("POST", "/transactions", DEEP, {422}),
    ("POST", "/transactions", b"", {422}),
    ("POST", "/transactions", bytes(10_000_000), {413}),
    ("GET", "/transactions/0x12", b"", {400}),
    ("GET", "/transactions/" + "0" * 64 + "?wait=nan", b"", {422}),
    ("GET", "/transactions/" + "0" * 64 + "?wait=-1", b"", {422}),
    ("POST", "/hint", b"x" * 399, {400}),
    ("POST", "/hint", b"http://127.0.0.2:1 zz 9", {204}),
    ("POST", "/hint", bytes(1_000), {413}),
    ("GET", "/control", b"", {403}),
    ("POST", "/control/miner", b"stop", {403}),
    ("POST", "/control/peers", b"http://127.0.0.2:1", {403}),
    ("GET", "/openapi.json", b"", {404}),
]


def test_wrong_requests_are_refused(cluster):
    """Each route refuses wrong methods, wrong hex, huge queries, deep JSON and large bodies."""
    node = cluster.nodes[0]
    with Watch(cluster), client(node, "127.0.0.3") as http:
        for method, path, body, expected in REQUESTS:
            answer = http.request(method, path, content=body)
            assert answer.status_code in expected, (method, path[:60], answer.text[:200])
    for path, size in (("/pool", 10_000), ("/transactions", MAX_TRANSACTION_BYTES + 1)):
        endless = f"POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n".encode()
        endless += b"transfer-encoding: chunked\r\n\r\n"
        chunk = b"%x\r\n" % size + bytes(size) + b"\r\n"
        assert shout(node, endless + chunk, "127.0.0.3").startswith(b"HTTP/1.1 413 ")
    assert "127.0.0.3: bad request, answered 413 'POST /pool'" in node.said()
    assert node.control().about()["mining"]


def test_who_asks_too_often_is_refused_alone(cluster):
    """Thousands of bad requests use up an address's allowance, and nobody else's."""
    node = cluster.nodes[0]
    with Watch(cluster), client(node, "127.0.0.4") as http:
        codes = []
        for _ in range(150):
            try:
                codes.append(http.get("/block/12").status_code)
            except httpx.HTTPError:
                codes.append(0)
        assert set(codes) <= {0, 400, 429}
        assert codes.count(400) < 145
    assert "127.0.0.4: refused: too many" in node.said()


async def opened(node, address, data):
    host, port = node.address.split(":")
    reader, writer = await asyncio.open_connection(
        host, int(port), limit=4096, local_addr=(address, 0)
    )
    writer.write(data)
    return reader, writer


async def seconds_until_cut(node, address, first, drip=b""):
    """Return how long a connection lives whose owner sends `drip` again and again."""
    began = time.monotonic()
    try:
        reader, writer = await opened(node, address, first)
        answered = asyncio.create_task(reader.read())
        while not answered.done() and time.monotonic() - began < 20:
            writer.write(drip)
            await asyncio.sleep(0.2)
        writer.close()
        await answered
    except OSError:
        pass  # cut
    return time.monotonic() - began


async def bytes_without_reading(node, address, first):
    """Return how much a reader gets that takes nothing for two deadlines."""
    size = 0
    try:
        reader, writer = await opened(node, address, first)
        await asyncio.sleep(2 * DEADLINE + 1)
        while piece := await reader.read(1 << 20):
            size += len(piece)
        writer.close()
    except OSError:
        pass  # cut
    return size


def test_slow_connections_are_cut(cluster):
    """Slow heads, slow bodies, readers that do not read and half-open connections are cut.

    All at once, each kind from an address of its own: 300 half-open connections, of which 64 are
    let in; ten dripping heads, ten dripping bodies; twenty readers of 16 MiB that take nothing, of
    which four are served. A reader that is slow but reads gets its content.
    """
    node = cluster.nodes[0]
    with open_store((node.data / "store").resolve().as_uri()) as store:
        cid = store.put(CONTENT)
    asking = f"GET /content/{cid} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    body = b"POST /transactions HTTP/1.1\r\nhost: a\r\ncontent-length: 9999\r\n\r\n"

    async def attack():
        cut = partial(seconds_until_cut, node)
        lives = [
            [cut("127.0.0.5", b"GET /sta") for _ in range(300)],
            [cut("127.0.0.6", b"GET /status HTTP/1.1\r\nx: ", b"y") for _ in range(10)],
            [cut("127.0.0.7", body, b"y") for _ in range(10)],
            [bytes_without_reading(node, "127.0.0.8", asking) for _ in range(20)],
        ]
        whole = asyncio.create_task(slow_but_reading())
        found = await asyncio.gather(*(asyncio.gather(*kind) for kind in lives))
        return found, await whole

    async def slow_but_reading():
        reader, writer = await opened(node, "127.0.0.9", asking)
        size = 0
        while size < len(CONTENT):
            piece = await reader.read(1 << 20)
            if not piece:
                break  # cut
            size += len(piece)
            await asyncio.sleep(0.25)  # all of it takes longer than a deadline
        writer.close()
        return size

    with Watch(cluster):
        lives, read = asyncio.run(attack())
    assert read >= len(CONTENT)
    assert max(map(max, lives[:3])) < 5 * DEADLINE
    assert max(lives[3]) < len(CONTENT)
    said = node.said()
    assert "127.0.0.5: refused: too many connections at once" in said
    for address in ("127.0.0.5", "127.0.0.6"):
        assert f"{address}: sends no whole request in 3 s: connection cut" in said
    assert "127.0.0.7: bad request, answered 408 'POST /transactions'" in said
    assert "127.0.0.8: does not read its answer in 3 s: connection cut" in said


def test_idle_connections_of_many_addresses_shut_nobody_out(cluster):
    """Nine addresses with 64 connections each, silent or asking slowly: all others are answered."""
    node = cluster.nodes[0]
    host, port = node.address.split(":")
    slow = f"GET /transactions/{'0' * 64}?wait=10 HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    kinds = [b"", b"GET /status HTTP/1.1\r\nhost: a\r\n\r\n", slow]
    with Watch(cluster), ExitStack() as stack:
        for number in range(20, 29):
            for _ in range(64):
                source = (f"127.0.0.{number}", 0)
                one = socket.create_connection((host, int(port)), 10, source)
                stack.enter_context(one).sendall(kinds[number % 3])
        codes = []
        for number in range(40, 70):
            with client(node, f"127.0.0.{number}") as http:
                codes.append(http.get("/status").status_code)
    assert codes == [200] * 30
    assert "gave way: others have fewer connections" in node.said()


def test_a_replayed_transaction_happens_once(cluster):
    """The same signed bytes, sent again and again to both nodes, move the amount once."""
    sink = Account.create().address
    with cluster.nodes[0].ledger() as ledger:
        unsigned = UnsignedTransaction(
            ledger.terms("StakeToken", "transfer"),
            ledger.nonce(HONEST.address),
            encode_call("StakeToken", "transfer", sink, 7),
        )
        signed = HONEST.sign(unsigned)
        codes = set()
        for node in cluster.nodes:
            with client(node, "127.0.0.10") as http:
                codes |= {
                    http.post("/transactions", content=signed.raw).status_code for _ in range(20)
                }
        assert 202 in codes
        assert codes <= {202, 422}
        with Watch(cluster):
            wait_for(partial(balance, cluster.nodes[1], sink), 60, "it did not happen")
            for node in cluster.nodes:
                with client(node, "127.0.0.10") as http:
                    answer = http.post("/transactions", content=signed.raw)
                    assert (answer.status_code, answer.json()["reason"]) == (422, "replay")
        assert [balance(node, sink) for node in cluster.nodes] == [7, 7]


def forged(cluster, folder):
    """Return a core with the cluster's chain, for blocks that no honest node makes."""
    bench = Bench(folder)
    bench.clock.seconds = time.time()
    node = cluster.nodes[0]
    first = node.status()["first"]
    with httpx.Client(base_url=node.url, trust_env=False) as http:
        bench.first = http.get(f"/block/{first}").content
        core = bench.core("forged")
        while page := unpack(
            http.get("/blocks", params={"after": core.snapshot.head.hex()}).content,
            at_most=256,
            each=1 << 24,
        ):
            for block in page:
                core.accept(block)
    return bench, core


def claim(status, head, index):
    return status | {"head": head, "index": index, "work": "9" * 20}


def test_a_peer_that_turns_malicious_convinces_nobody(cluster, tmp_path):
    """Ten configured peers that lie in different ways: each is named in the log, none is believed.

    Absurd and malformed statuses, endless and oversized answers, the same old blocks for ever,
    blocks with a wrong seal and with a wrong aggregate, contents that hash to something else.
    """
    node = cluster.nodes[0]
    cluster.agree(30)
    status = node.status()
    bench, core = forged(cluster, tmp_path)
    stale = [core.envelope(block) for block in core.snapshot.hashes[1:]]
    block = sealed(core)
    header = type(block.header)(
        **{name: getattr(block.header, name) for name in block.header.__slots__} | {"nonce": 2**60}
    )
    wrong_seal = Envelope.sign(type(block)(header, (), ()), None).encode()

    liar = Account.create()
    document = b'{"not": "a specification"}'
    cid = cid_of(document)
    for function, *arguments in (
        ("propose", "liar", cid_to_bytes(cid), 1, 0, 0, cid_to_bytes(cid)),
        ("publishAggregate", None, 1, cid_to_bytes(cid), "mean", [], cid_to_bytes(cid), []),
    ):
        if arguments[0] is None:
            arguments[0] = core._branch.view().call("TrainingTask", "taskCount")
        core.submit(bench.call(liar, "TrainingTask", function, *arguments).raw)
        mine(core)
    for _ in range(30):
        mine(core)
    height = core.snapshot.index
    made = pack([core.envelope(one) for one in core.snapshot.hashes[len(stale) + 1 :]])
    unknown = "ab" * 32
    endless = claim(status, unknown, len(stale) + 9)
    asked_liar = threading.Event()

    def lie(_path):
        asked_liar.set()
        return b"something else"

    peers = [
        EvilPeer("absurd numbers", claim(status, unknown, 2**62)),
        EvilPeer("no numbers", status | {"work": -5}),
        EvilPeer("deep", b'{"network":' + b"[" * 60_000),
        EvilPeer("oversized status", bytes(200_000)),
        EvilPeer("oversized page", endless, blocks=lambda _: itertools.repeat(bytes(1 << 20))),
        EvilPeer("stale blocks", endless, blocks=lambda _: pack(stale)),
        EvilPeer("orphans", endless, blocks=lambda _: pack([core.envelope(core.snapshot.head)])),
        EvilPeer("no list", endless, blocks=lambda _: b"\xff" * 64),
        EvilPeer("wrong seal", endless, blocks=lambda _: pack([wrong_seal])),
        EvilPeer("wrong content", status, content=lie),
        EvilPeer(
            "wrong aggregate",
            claim(status, core.snapshot.head.hex(), height),
            blocks=lambda _: made,
            content=lambda path: document if asked_liar.is_set() and cid in path else None,
        ),
    ]
    with ExitStack() as stack:
        for peer in peers:
            stack.enter_context(peer)
        stack.callback(bench.close)
        with Watch(cluster):
            node.control().set_peers([cluster.nodes[1].url, *(peer.url for peer in peers)])
            for peer in peers:
                named = f"WARNING peer {peer.url}: "
                if peer.name != "wrong aggregate":
                    wait_for(lambda: named in node.said(), 60, f"{peer.name} was not named")  # noqa: B023
            wait_for(lambda: "refused: " in node.said(), 60, "the aggregate was not refused")
        node.control().set_peers([cluster.nodes[1].url])
        assert not [peer.name for peer in peers if not peer.asked]
    said = node.said()
    for reason in (
        f"says to have {2**62} blocks",
        "its status is none",
        "/status: more than",
        "/blocks",
        "the same blocks again",
        "do not follow what was asked",
        "nonce",
        f"content of {cid} hashes to",
    ):
        assert reason in said, reason
    assert "Traceback" not in said
    assert node.status()["refused"] > 0
    for one in cluster.nodes:
        with one.ledger() as ledger:
            assert ledger.events("TrainingTask", "AggregatePublished") == []
