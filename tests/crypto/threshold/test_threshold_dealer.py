"""The dealer is a process of its own; what it hands out has one form, and is checked."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st
from support.examples import examples
from support.threshold import entropy, scene

from fedledger.crypto.threshold import (
    ENVELOPE_EXTRA,
    MOST_TRAINERS,
    Dealing,
    deal_apart,
    dealer,
    dealing,
    open_share,
    primes,
    seal_share,
)
from fedledger.crypto.threshold.dealt import MOST_BYTES
from fedledger.errors import CryptoError

SCENE = scene()
PRIVATE = [bytes([at]) * 32 for at in range(1, 6)]
PUBLIC = [
    X25519PrivateKey.from_private_bytes(one).public_key().public_bytes_raw() for one in PRIVATE
]
CONTEXT = b"chain 1, contract 2"
DEALING = Dealing(
    SCENE.keys.encode(),
    tuple(seal_share(*pair, CONTEXT) for pair in zip(SCENE.shares, PUBLIC, strict=True)),
)
DATA = DEALING.encode()
REQUEST: dict[str, Any] = {
    "bits": 2048,
    "threshold": 2,
    "recipients": [one.hex() for one in PUBLIC[:3]],
    "context": CONTEXT.hex(),
}


def refuse(*_, **__):
    raise AssertionError("the calling process deals")


@pytest.fixture(scope="module")
def apart():
    """A dealing of a process of its own, and how that process was started."""
    started = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, arguments, **rest):
            super().__init__(arguments, **rest)
            started.append((self.pid, arguments, rest["env"]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEDLEDGER_ACCOUNT_PASSWORD", "correct horse")
        patch.setattr(subprocess, "Popen", Recorded)
        for module, name in ((dealing, "deal"), (dealing, "_factors"), (primes, "safe_prime")):
            patch.setattr(module, name, refuse)
        found = deal_apart(2048, 2, PUBLIC[:3], CONTEXT)
    return found, started


def test_the_key_is_dealt_by_another_process(apart):
    """With all that deals forbidden in this process, the shares open, each for its trainer."""
    found, [(pid, _, _)] = apart
    assert pid != os.getpid()
    keys = found.check()
    keys.check_agreed(bits=2048, trainers=3, threshold=2)
    for at in range(3):
        share = open_share(found.envelopes[at], PRIVATE[at], keys, at + 1, CONTEXT)
        assert share.trainer == at + 1
        assert share.encode() not in found.encode()
        with pytest.raises(CryptoError, match="envelope"):
            open_share(found.envelopes[at], PRIVATE[at - 1], keys, at + 1, CONTEXT)


def test_nothing_stands_in_the_dealers_command_or_environment(apart):
    """Neither the account's password nor anything of the request."""
    _, [(_, words, environment)] = apart
    assert words == [sys.executable, "-P", "-m", "fedledger.crypto.threshold.dealer"]
    assert "correct horse" not in environment.values()
    assert not [name for name in environment if name.startswith("FEDLEDGER_")]
    assert not {one.hex() for one in PUBLIC} & set(environment.values())


def asked(data):
    """Run the dealer as people do."""
    return subprocess.run(
        [sys.executable, "-m", "fedledger.crypto.threshold.dealer"],
        input=data,
        capture_output=True,
        check=False,
        timeout=300,
    )


def test_the_program_writes_a_dealing_and_nothing_else():
    """Standard output is the dealing's bytes; standard error is empty."""
    done = asked(json.dumps(REQUEST).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert Dealing.decode(done.stdout).check().trainers == 3


@pytest.mark.parametrize("data", [b"", b"\xff{", json.dumps({**REQUEST, "threshold": 1}).encode()])
def test_what_is_wrong_is_one_line(data):
    """Nothing on standard output, one line on standard error, status 2."""
    done = asked(data)
    assert (done.returncode, done.stdout) == (2, b"")
    [line] = done.stderr.decode().splitlines()
    assert line.startswith("error: ")


SAME = [PUBLIC[0].hex(), PUBLIC[1].hex(), PUBLIC[0].hex()]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bits": 1024}, "2048 or 3072 bits"),
        ({"bits": "2048"}, "'bits' is a whole number"),
        ({"bits": True}, "'bits' is a whole number"),
        ({"threshold": 1}, "no majority"),
        ({"threshold": 4}, "more than all"),
        ({"threshold": 2.0}, "'threshold' is a whole number"),
        ({"recipients": []}, "2 to 64 trainers"),
        ({"recipients": [bytes([at]).hex() * 32 for at in range(65)]}, "2 to 64 trainers"),
        ({"recipients": "ab"}, "hexadecimal|2 to 64"),
        ({"recipients": [1, 2, 3]}, "hexadecimal"),
        ({"recipients": None}, "hexadecimal"),
        ({"recipients": dict.fromkeys(REQUEST["recipients"], 1)}, "hexadecimal"),
        ({"recipients": [*SAME[:2], SAME[0][:-2]]}, "trainer 3: it is no X25519 key"),
        ({"recipients": [*SAME[:2], "00" * 32]}, "trainer 3: it is no X25519 key"),
        ({"recipients": SAME}, "trainers 1 and 3 have the same key"),
        ({"context": "xy"}, "hexadecimal"),
        ({"context": 5}, "hexadecimal"),
        ({"toy": True}, "it has the fields bits, context"),
        ({"context": "ab" * 40000}, "more than 65536 bytes"),
    ],
)
def test_a_request_that_cannot_be_dealt_is_refused_by_name(changed, said, monkeypatch):
    """Before anything is drawn."""
    monkeypatch.setattr(dealing, "_factors", refuse)
    with pytest.raises(CryptoError, match=said):
        dealer._answer(json.dumps({**REQUEST, **changed}).encode(), entropy("dealer"))


@pytest.mark.parametrize("data", [b"[]", b"5", b"null", b'"text"', b"[" * 60000, b"{}"])
def test_what_is_no_request_is_refused(data):
    """Whatever JSON it is."""
    with pytest.raises(CryptoError, match="request"):
        dealer._answer(data, entropy("dealer"))


@pytest.mark.parametrize(
    ("bits", "threshold", "recipients", "said"),
    [
        (1024, 2, PUBLIC[:3], "key size"),
        (2048, 4, PUBLIC[:3], "more than all"),
        (2048, 2, [PUBLIC[0], PUBLIC[1], PUBLIC[0]], "trainers 1 and 3 have the same key"),
        (2048, 2, [PUBLIC[0], bytes(32)], "trainer 2: it is no X25519 key"),
    ],
)
def test_the_caller_starts_no_dealer_for_what_cannot_be_dealt(
    monkeypatch, bits, threshold, recipients, said
):
    """It is refused before a process is started."""
    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(CryptoError, match=said):
        deal_apart(bits, threshold, recipients, CONTEXT)


def program(monkeypatch, text):
    """Let another program be the dealer."""

    class Other(subprocess.Popen[bytes]):
        def __init__(self, arguments, **rest):
            super().__init__([arguments[0], "-c", text], **rest)

    monkeypatch.setattr(subprocess, "Popen", Other)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pass", "dealing: these bytes are no dealing"),
        ("import sys; sys.stderr.write('error: out of luck\\n'); sys.exit(2)", "2: out of luck"),
        ("import os; os.kill(os.getpid(), 9)", "dealer: its process ended with status -9"),
        (f"import sys; sys.stdout.buffer.write({DATA!r})", "paillier|bits"),
    ],
)
def test_a_dealer_that_fails_is_said(monkeypatch, text, said):
    """It gave nothing, said why, was killed, or dealt a key of another kind."""
    program(monkeypatch, text)
    with pytest.raises(CryptoError, match=said):
        deal_apart(2048, 2, PUBLIC[:3], CONTEXT)


def test_a_dealer_that_hangs_is_ended(monkeypatch):
    """After the seconds that it has, without waiting for it."""
    program(monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(CryptoError, match=r"dealt nothing in 0\.2 seconds"):
        deal_apart(2048, 2, PUBLIC[:3], CONTEXT, seconds=0.2)


def test_a_dealing_has_one_form():
    """Decoding and encoding are inverse; the digest is the keys'; the repr is short."""
    small = b"fedledger dealing 1" + b"\0\0\0\4" + b"\0\2" + b"\0\3" + b"keys" + b"onetwo"
    assert Dealing(b"keys", (b"one", b"two")).encode() == small
    assert Dealing.decode(DATA) == DEALING
    assert DEALING.digest == SCENE.keys.digest
    assert DEALING.check(toy=True) == SCENE.keys
    assert repr(DEALING) == f"Dealing(of 5 trainers, keys {SCENE.keys.digest.hex()})"


@examples(60)
@given(st.integers(0, len(DATA) - 1), st.binary(max_size=3))
@example(len(DATA) - 1, b"")
@example(19, b"\xff\xff\xff")
def test_a_torn_dealing_is_refused(at, put):
    """Cut off, with or without other bytes behind: what has its length is another dealing."""
    data = DATA[:at] + put
    if len(data) == len(DATA):
        assert (Dealing.decode(data) == DEALING) is (data == DATA)
        return
    with pytest.raises(CryptoError, match="dealing"):
        Dealing.decode(data)


@examples(200)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_refused_in_our_words_or_decode(data, headed):
    """What decodes encodes to the same bytes."""
    data = DATA[:19] + data if headed else data
    try:
        assert Dealing.decode(data).encode() == data
    except CryptoError as error:
        assert error.what == "dealing"  # noqa: PT017 - or it decodes


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"envelopes": DEALING.envelopes[:-1]}, "4 envelopes for 5 trainers"),
        ({"envelopes": DEALING.envelopes * 2}, "10 envelopes for 5 trainers"),
        ({"envelopes": (b"x",) * 5}, "envelope 1: 1 bytes"),
        ({"keys": DEALING.keys[:-1]}, "verification keys"),
        ({"keys": b""}, "threshold keys"),
    ],
)
def test_a_dealing_that_does_not_fit_together_is_refused(other, said):
    """Its form may hold; `check` names what is wrong."""
    made = Dealing.decode(replace(DEALING, **other).encode())
    with pytest.raises(CryptoError, match=said):
        made.check(toy=True)


@pytest.mark.parametrize(
    "other",
    [
        {"envelopes": ()},
        {"envelopes": (b"a", b"bc")},
        {"envelopes": (bytes(1 << 16), bytes(1 << 16))},
        {"keys": bytes(MOST_BYTES)},
    ],
)
def test_what_has_no_form_is_not_encoded(other):
    """No envelopes, several lengths, too many bytes."""
    with pytest.raises(CryptoError, match="dealing"):
        replace(DEALING, **other).encode()


def test_the_largest_dealing_is_below_the_cap():
    """64 trainers of a 3072-bit key; above the cap nothing is read."""
    width = 3072 // 8
    keys = len(SCENE.keys.encode()) + 3 * width + (MOST_TRAINERS + 1) * width
    largest = Dealing(bytes(keys), (bytes(width + ENVELOPE_EXTRA),) * MOST_TRAINERS)
    assert Dealing.decode(largest.encode()) == largest
    with pytest.raises(CryptoError, match="at most"):
        Dealing.decode(DATA + bytes(MOST_BYTES))
