"""The real effects: what each of the five promises, on this machine."""

import asyncio
import http.server
import stat
import threading
import time
from collections import Counter

import apsw
import pytest

from fedledger.effects import Answer, Effects, Question
from fedledger.effects.real import SystemDisk
from fedledger.errors import AnswerTooLarge, AnswerTooSlow, NoAnswer
from fedledger.experiments.sim.disk import MemoryDisk
from fedledger.experiments.sim.values import SeededEntropy


@pytest.fixture
def real():
    return Effects.real()


class _Party(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(201, self.headers.get("authorization", "").encode() + body)

    def do_GET(self):
        if self.path == "/slow":
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            for _ in range(5):
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return
                time.sleep(0.2)
            return
        if self.path == "/broken":
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            self.close_connection = True
            return
        self._answer(404, b"x" * 1_000)

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def party():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Party) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


def _asked(url, question, kind):
    """Ask by a line of either kind: what holds for one holds for the other."""
    real = Effects.real()
    if kind == "blocking":
        line = real.transport.line(url)
        try:
            return line.ask(question)
        finally:
            line.close()
            line.close()

    async def ask():
        line = real.transport.async_line(url, at_once=2)
        try:
            return await line.ask(question)
        finally:
            await line.close()
            await line.close()

    return asyncio.run(ask())


both = pytest.mark.parametrize("kind", ["blocking", "async"])


@both
def test_an_answer_comes_with_its_status(party, kind):
    """Whatever the status, the answer is returned; headers and body arrive."""
    question = Question(method="POST", path="/", body=b"!", headers={"authorization": "me"})
    assert _asked(party, question, kind) == Answer(201, b"me!")
    answer = _asked(party, Question(method="GET", path="/none", most=1_000), kind)
    assert answer == Answer(404, b"x" * 1_000)


@both
@pytest.mark.parametrize(
    ("path", "seconds", "error"),
    [("/", 5.0, AnswerTooLarge), ("/slow", 0.5, AnswerTooSlow), ("/broken", 5.0, NoAnswer)],
)
def test_an_answer_has_limits(party, kind, path, seconds, error):
    """What is above the cap, drips beyond the deadline or breaks off is an error with the party."""
    with pytest.raises(error) as raised:
        _asked(party, Question(method="GET", path=path, most=999, seconds=seconds), kind)
    assert raised.value.party == party


@both
def test_nobody_there_is_no_answer(kind):
    """A closed port is `NoAnswer`."""
    with pytest.raises(NoAnswer):
        _asked("http://127.0.0.1:9", Question(method="GET", path="/"), kind)


def test_the_clock_goes_on(real):
    """Wall time is the system's; monotonic time passes as long as one sleeps."""
    assert abs(real.clock.wall() - time.time()) < 5
    before = real.clock.monotonic()
    real.clock.sleep(0.02)
    assert real.clock.monotonic() - before >= 0.02


def test_draws_stay_in_their_bounds(real):
    """Below a bound all come up; uniform is below one; a sample has different elements."""
    entropy = real.entropy
    assert len(entropy.draw(5)) == 5
    assert len(entropy.hexadecimal(5)) == 10
    drawn = Counter(entropy.below(3) for _ in range(300))
    assert sorted(drawn) == [0, 1, 2]
    assert min(drawn.values()) > 50
    assert {entropy.below(1) for _ in range(3)} == {0}
    assert all(0 <= entropy.uniform() < 1 for _ in range(100))
    assert sorted(entropy.sample("abc", 3)) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="no integer"):
        entropy.below(0)
    with pytest.raises(ValueError, match="no 4 different"):
        entropy.sample("abc", 4)


def test_work_runs_to_its_end(real):
    """Who cancels a computation goes on only when it has ended; `wait` does not block `run`."""
    work, ended = real.work, []

    def slow():
        time.sleep(0.1)
        ended.append(1)

    async def scenario():
        for way in (work.run, work.wait):
            task = asyncio.create_task(way(slow))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await work.run(int, "ff", base=16) == 255
        return list(ended)

    assert asyncio.run(scenario()) == [1, 1]


def test_work_in_parallel_keeps_the_order(real):
    """Results come in the order of the items; an item's error is raised."""
    assert real.work.map(lambda x: x * x, range(9), at_once=4) == [x * x for x in range(9)]
    with pytest.raises(ZeroDivisionError):
        real.work.map(lambda x: 1 // x, [1, 0], at_once=2)


def test_a_worker_takes_only_so_many(real, caplog):
    """Jobs are done in order, one that fails is logged, and a full queue takes none."""
    done, began, gate = [], threading.Event(), threading.Event()
    worker = real.work.worker("watchers", waiting=2)

    def hold():
        began.set()
        gate.wait(5.0)

    assert worker.give(hold)
    assert began.wait(5.0)
    assert worker.give(lambda: done.append(1))
    assert worker.give(lambda: 1 // 0)
    assert not worker.give(lambda: done.append(2))
    gate.set()
    assert worker.close(5.0)
    assert done == [1]
    assert "a job of watchers failed" in caplog.text


@pytest.fixture(params=["system", "memory"])
def disk(request):
    """The machine's disk, and a simulation's: what holds for one holds for the other."""
    if request.param == "system":
        return SystemDisk()
    return MemoryDisk(SeededEntropy(1, "disk"), lambda: None)


def test_private_files_are_their_owners(tmp_path):
    """Only its owner may read a private file or look into a private folder."""
    disk, path = SystemDisk(), tmp_path / "folder" / "file"
    disk.make_folder(path.parent, private=True)
    disk.write(path, b"one", private=True)
    disk.create(path.with_name("new"), b"one", private=True)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in (path, path.with_name("new")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_files_are_written_whole(disk, tmp_path):
    """A file is replaced as a whole or made once, and nothing stays beside it."""
    path = tmp_path / "deep" / "folder" / "file"
    disk.make_folder(path.parent)
    disk.make_folder(path.parent)
    assert disk.is_folder(path.parent)
    assert disk.names(path.parent) == []
    disk.write(path, b"one")
    disk.write(path, b"two")
    disk.write(path, b"three", durable=False)
    assert (disk.read(path), disk.read(path, most=2), disk.size(path)) == (b"three", b"th", 5)
    with pytest.raises(FileExistsError):
        disk.create(path, b"four")
    disk.create(path.with_name("new"), b"five")
    assert disk.names(path.parent) == ["file", "new"]
    disk.rename(path.with_name("new"), path)
    disk.remove(path.with_name("new"))
    assert disk.read(path) == b"five"
    assert disk.exists(path)
    assert not disk.is_folder(path)
    disk.remove(path)
    disk.remove(path)
    for look in (disk.read, disk.size, disk.names):
        with pytest.raises(FileNotFoundError):
            look(path)


def test_an_open_file_is_written_in_place(disk, tmp_path):
    """Reads and writes go to their place; what follows can be cut off."""
    with disk.open(tmp_path / "file", private=True) as file:
        file.write(3, b"abc")
        file.truncate(5)
        file.sync()
        assert (file.size(), file.read(0, 9), file.read(4, 1)) == (5, b"\0\0\0ab", b"b")
    file.close()


def test_a_lock_has_one_holder(disk, tmp_path):
    """A second holder is refused until the first has given it back."""
    path = tmp_path / "lock"
    with disk.lock(path), pytest.raises(BlockingIOError):
        disk.lock(path)
    disk.lock(path).close()


def test_a_lock_can_be_waited_for(tmp_path):
    """Who waits gets it when the first holder gives it back."""
    disk, path = SystemDisk(), tmp_path / "lock"
    first = disk.lock(path)
    before = time.monotonic()
    threading.Timer(0.05, first.close).start()
    disk.lock(path, wait=True).close()
    assert time.monotonic() - before > 0.02


def test_a_database_opens(disk, tmp_path):
    """SQLite opens it with the given flags, and says when there is none."""
    flags = apsw.SQLITE_OPEN_READWRITE
    with pytest.raises(apsw.CantOpenError):
        disk.database(tmp_path / "db", flags=flags)
    connection = disk.database(tmp_path / "db", flags=flags | apsw.SQLITE_OPEN_CREATE)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    assert disk.exists(tmp_path / "db")
