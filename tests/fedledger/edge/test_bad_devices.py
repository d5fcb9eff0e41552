"""Devices that are set up wrongly, in Flower's own processes: each is told what to do.

The others train meanwhile, and the audit passes.
"""

import re
import shutil

import pytest
from support.edge import ROOT, Hall, blocks_of, free_port, quoted

from fedledger.records import VERSION

GOOD = 3
BAD = ("another-key", "open-password", "another-chain", "old-version")
"""Each connects, and its client app refuses; the names are the test's."""

FLOWERS = ("[code: 2004] Failed to activate SuperNode", "SuperNode terminated gracefully")

SENTENCES = {
    "another-key": "this device cannot speak for it",
    "open-password": "can be read by every user of this machine: chmod 600 ",
    "another-chain": "this client signs for chain-id 1, the server asks for",
    "old-version": f"version {VERSION} of the signing protocol, this client version 4: install",
}


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path)
    yield hall
    hall.stop()


def spoil(hall):
    """Set devices up wrongly; return the machine of each by its name."""
    bad = dict(zip(BAD, hall.devices[GOOD:], strict=False))
    stranger = hall.devices[GOOD + len(BAD)].folder
    for name in ("node.key", "node.key.pub"):  # registered, and not what the account published
        shutil.copy(stranger / name, bad["another-key"].folder / name)
    (bad["open-password"].folder / "password").chmod(0o644)
    config = bad["another-chain"].folder / "node-config"
    config.write_text(config.read_text().rstrip() + " ledger-chain-id=1\n")
    old = bad["old-version"].home / "old"
    old.mkdir()
    (old / "sitecustomize.py").write_text("import fedledger.records as it\nit.VERSION = 4\n")
    bad["old-version"].environment["PYTHONPATH"] = str(old)
    return bad


@pytest.mark.soak
def test_each_device_is_told_and_the_others_train(hall):
    """Another key, an open password file, another chain, an older version; a key taken off."""
    [files] = blocks_of("Files")
    _, link, register, _, train = blocks_of("Start")
    hall.make(files, devices=GOOD + len(BAD) + 1)
    hall.bind()
    bad = spoil(hall)
    hall.start(link)
    hall.server.run(register.text)
    told = bad["open-password"].run(". ./env.sh; fedledger edge check", status=1)
    assert "password file: wrong" in told
    assert SENTENCES["open-password"] in told
    start = ". ./env.sh; sh start.sh --port {}"
    for machine in hall.devices[: GOOD + len(BAD)]:
        machine.start(start.format(free_port()))
    hall.change(num_server_rounds=1, window=300.0)
    hall.take_clients(GOOD + len(BAD))
    said = hall.server.run(train.text)
    for sentence in SENTENCES.values():
        assert sentence in said, said
        assert any(one in sentence for one in quoted()), "the page has it"
    assert f"update: {GOOD} counted, 0 late, {len(BAD)} dropped" in said, said
    assert said.count("audit: passed") == 2, said
    said = hall.server.run(". ./env.sh; flwr supernode list edge --format json")
    first = re.findall(r'"node-id": "(\d+)"', said)[0]
    hall.server.run(f". ./env.sh; flwr supernode unregister {first} edge")
    revoked = next(one for one in hall.devices if f"SuperNode ID: {first}" in one.log.read_text())
    revoked.wait_for("SuperNode terminated gracefully")
    revoked.stop()
    assert FLOWERS[0] in revoked.run(start.format(free_port()), status=None)


def test_the_page_quotes_what_is_said():
    """Each error in its table is one of Flower's that these tests see, or stands in our sources."""
    text = "".join(
        path.read_text(encoding="utf-8")
        for room in ("clients", "ledger_plugins", "fedledger")
        for path in sorted((ROOT / room).rglob("*.py"))
    )
    text = re.sub(r"""["']\s*\n\s*f?["']""", "", text)
    ours = [one for one in quoted() if one not in FLOWERS and "certificate" not in one]
    assert len(ours) > 8
    assert [one for one in ours if one not in text and "IP address" not in one] == []
    assert set(FLOWERS) <= set(quoted())
