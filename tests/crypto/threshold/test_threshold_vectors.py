"""The frozen examples of threshold keys and proofs, read by hand as docs/formats.md says."""

import json
from hashlib import sha256, shake_256
from importlib.resources import files
from math import factorial, prod

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedledger.crypto.threshold import ThresholdKeys, open_share

V = json.loads((files("fedledger") / "vectors" / "threshold.json").read_text())
DATA = bytes.fromhex(V["keys"])
PRIVATE = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df8c9d9f6f0d1d1f4c0b5e5d7e9f0a11")


SEALED = (
    "309aa34e2e66b5fadff24bd8f025e7476383d85a9ad418c282d49326b94b8b411ef9c0cd088dc739"
    "576d7cbad129bf65f78c22d27e8877d8a179842d95907a29ff8559e25b7e9018f793c76e491e2148"
)  # of trainer 3, sealed once


def frame(data):
    return len(data).to_bytes(4, "big") + data


def part(data):
    return len(data).to_bytes(8, "big") + data


class Read:
    """A transcript by the words of the page."""

    def __init__(self, protocol):
        self.said = b"fedledger transcript 1"
        self.absorb("protocol", protocol)

    def absorb(self, name, *parts):
        self.said += b"\x01" + part(name.encode()) + len(parts).to_bytes(8, "big")
        for one in parts:
            if isinstance(one, str):
                self.said += b"s" + part(one.encode())
            elif isinstance(one, int):
                self.said += b"i" + part(one.to_bytes((one.bit_length() + 7) // 8, "big"))
            else:
                self.said += b"b" + part(one)

    def draw(self, name, count):
        self.said += b"\x02" + part(name.encode()) + count.to_bytes(8, "big")
        return shake_256(self.said).digest(count)

    def challenges(self, name, count):
        drawn = self.draw(name, 16 * count)
        return [int.from_bytes(drawn[at : at + 16], "big") for at in range(0, 16 * count, 16)]


def place():
    """Return the transcript of the example's account and round."""
    where = V["place"]
    one = Read(where["protocol"])
    one.absorb("place", where["chain"], where["contract"].lower(), where["task"], where["round"])
    one.absorb("account", where["account"].lower())
    one.absorb("key", sha256(DATA).digest())
    return one


def numbers(data, width):
    return [int.from_bytes(data[at : at + width], "big") for at in range(0, len(data), width)]


def read_keys():
    """Return the Paillier key's bytes, bits, n, h, t, v and the list of v_i."""
    assert DATA[:26] == b"fedledger threshold keys 1"
    size = int.from_bytes(DATA[26:30], "big")
    public, rest = DATA[30 : 30 + size], DATA[30 + size :]
    bits = int.from_bytes(public[24:28], "big")
    n, h = int.from_bytes(public[28 : 28 + bits // 8], "big"), public[28 + bits // 8 :]
    threshold, trainers = (int.from_bytes(rest[at : at + 2], "big") for at in (0, 2))
    v, *verification = numbers(rest[4:], bits // 8)
    assert len(verification) == trainers
    return public, bits, n, int.from_bytes(h, "big"), threshold, v, verification


PUBLIC, BITS, N, H, T, G, VS = read_keys()
N2, WIDTH, DELTA = N * N, BITS // 8, factorial(len(VS))
BATCH = [int(one, 16) for one in V["ciphertexts"]]
MESSAGES = [int(one, 16) for one in V["messages"]]
BLINDINGS = [int(one, 16) for one in V["blindings"]]
LISTED = b"".join(bytes.fromhex(one) for one in V["ciphertexts"])


def test_the_transcript():
    """Its challenges are the hash of the words."""
    one = Read(V["transcript"]["protocol"])
    kinds = {"bytes": bytes.fromhex, "integer": int, "text": str}
    given = [kinds[kind](x) for part in V["transcript"]["absorbed"] for kind, x in part.items()]
    one.absorb("parts", *given)
    drawn = [f"{x:032x}" for x in one.challenges("factors", 2)]
    assert drawn == V["transcript"]["challenges"]
    assert f"{one.challenges('challenge', 1)[0]:032x}" == V["transcript"]["challenge"]


def test_the_keys():
    """Digest, θ and v_i are what the page says of the shares; this library reads the bytes."""
    assert sha256(DATA).hexdigest() == V["digest"]
    assert int(V["theta"], 16) * 4 * DELTA**2 % N == 1
    secrets = [int(one["share"], 16) for one in V["trainers"]]
    assert [pow(G, DELTA * one, N) for one in secrets] == VS
    assert ThresholdKeys.decode(DATA, toy=True).digest.hex() == V["digest"]


def test_the_decryption():
    """Ciphertexts, shares, roots and messages follow from the secrets."""
    chosen = list(range(1, T + 1))
    weights = [
        DELTA * prod(j for j in chosen if j != i) // prod(j - i for j in chosen if j != i)
        for i in chosen
    ]
    shares = [numbers(bytes.fromhex(one["decryption_shares"]), WIDTH) for one in V["trainers"]]
    roots = numbers(bytes.fromhex(V["roots"]), WIDTH)
    for at, c in enumerate(BATCH):
        assert c == (1 + MESSAGES[at] * N) * pow(H, BLINDINGS[at], N2) % N2
        for trainer, found in zip(V["trainers"], shares, strict=True):
            x = pow(c, 2 * DELTA * int(trainer["share"], 16), N)
            assert found[at] == min(x, N - x)
        w = prod(pow(shares[i - 1][at], 2 * k, N) for i, k in zip(chosen, weights, strict=True)) % N
        assert roots[at] == min(w, N - w)
        power, lifted = pow(c, 4 * DELTA**2, N2), pow(roots[at], N, N2)
        lifted = lifted if (power - lifted) % N == 0 else N2 - lifted
        message = (power - lifted) // N * pow(power, -1, N) * int(V["theta"], 16) % N
        assert message == MESSAGES[at]


def test_the_proof_of_plaintext_knowledge():
    """The commitment of its answers gives its challenge."""
    proof = bytes.fromhex(V["plaintext_proof"])
    assert len(proof) == 16 + WIDTH + -(-(BITS // 2 + 410) // 8)
    challenge, z, y = (
        int.from_bytes(one, "big")
        for one in (proof[:16], proof[16 : 16 + WIDTH], proof[16 + WIDTH :])
    )
    one = place()
    one.absorb("begin", "plaintext knowledge 1")
    one.absorb("key", PUBLIC)
    one.absorb("ciphertexts", LISTED)
    factors = one.challenges("factors", len(BATCH))
    combined = prod(pow(c, e, N2) for c, e in zip(BATCH, factors, strict=True)) % N2
    t = (1 + z * N) * pow(H, y, N2) * pow(combined, -challenge, N2) % N2
    one.absorb("commitment", t.to_bytes(2 * WIDTH, "big"))
    assert one.challenges("challenge", 1) == [challenge]


@pytest.mark.parametrize("trainer", range(1, len(VS) + 1))
def test_the_proofs_of_decryption_shares(trainer):
    """The commitments of each answer give its challenge."""
    proof = bytes.fromhex(V["trainers"][trainer - 1]["proof"])
    listed = bytes.fromhex(V["trainers"][trainer - 1]["decryption_shares"])
    assert len(proof) == 16 + -(-(BITS + DELTA.bit_length() + 257) // 8)
    challenge, z = int.from_bytes(proof[:16], "big"), int.from_bytes(proof[16:], "big")
    one = place()
    one.absorb("begin", "decryption shares 1")
    one.absorb("keys", sha256(DATA).digest(), trainer)
    one.absorb("ciphertexts", LISTED)
    one.absorb("shares", listed)
    factors = one.challenges("factors", len(BATCH))
    a = prod(pow(c, 4 * e, N) for c, e in zip(BATCH, factors, strict=True)) % N
    b = prod(pow(x, 2 * e, N) for x, e in zip(numbers(listed, WIDTH), factors, strict=True)) % N
    first = pow(G, z, N) * pow(VS[trainer - 1], -challenge, N) % N
    second = pow(a, z, N) * pow(b, -challenge, N) % N
    one.absorb("commitments", first.to_bytes(WIDTH, "big") + second.to_bytes(WIDTH, "big"))
    assert one.challenges("challenge", 1) == [challenge]


def test_the_trial():
    """Message and blinding are drawn from the digest."""
    one = Read("fedledger threshold ceremony 1")
    one.absorb("begin", "trial ciphertext 1")
    one.absorb("keys", sha256(DATA).digest())
    message = int.from_bytes(one.draw("message", WIDTH + 16), "big") % N
    x = int.from_bytes(one.draw("blinding", BITS // 16), "big")
    assert f"{message:x}" == V["trial"]["message"]
    c = (1 + message * N) * pow(H, x, N2) % N2
    assert c.to_bytes(2 * WIDTH, "big").hex() == V["trial"]["ciphertext"]


def test_the_envelopes():
    """What each is bound to is framed as said, and one sealed before opens."""
    recipient, context = (bytes.fromhex(V["envelope"][name]) for name in ("recipient", "context"))
    for number, trainer in enumerate(V["trainers"], 1):
        parts = [b"fedledger key share 1", context, sha256(DATA).digest()]
        parts += [number.to_bytes(2, "big"), recipient]
        assert trainer["envelope_info"] == b"".join(map(frame, parts)).hex()
    key = X25519PrivateKey.from_private_bytes(PRIVATE)
    assert key.public_key().public_bytes_raw() == recipient
    sealed = bytes.fromhex(SEALED)
    share = open_share(sealed, PRIVATE, ThresholdKeys.decode(DATA, toy=True), 3, context)
    assert share.encode().hex() == V["trainers"][2]["share"]
