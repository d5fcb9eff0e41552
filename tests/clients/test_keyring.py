"""What a trainer keeps: private keys, a sealed share, a product; damaged, foreign and forgotten."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from support.threshold import scene

from fedledger.clients.keyring import Keyring
from fedledger.crypto.threshold import KeyShare, seal_share
from fedledger.effects import Effects
from fedledger.errors import AccountError, CryptoError

EFFECTS = Effects.real()
CONTEXT = b"chain 7, contract 0xAb"
PLACE = "task 1"
SCENE = scene(2048, 3, 2, 3)
KEYS = SCENE.keys
DIGEST = KEYS.digest


@pytest.fixture
def ring(tmp_path):
    return Keyring.beside(tmp_path / "ann.json", EFFECTS.disk)


def dealt(ring, number=2, public=None, context=CONTEXT):
    """Let a ring keep what was sealed to its newest key, or to another one."""
    public = ring.new_key(EFFECTS.entropy) if public is None else public
    ring.keep(KEYS.encode(), number, seal_share(SCENE.shares[number - 1], public, context), PLACE)
    return public


def again(ring):
    """Return the ring as another process opens it."""
    return Keyring(ring.folder, EFFECTS.disk)


def files(ring):
    return sorted(one.name for one in ring.folder.iterdir())


def test_a_private_key_is_drawn_and_lies_in_a_private_file(ring):
    """Two keys differ; each is found by its public half, in a file that its owner alone reads."""
    first, second = ring.new_key(EFFECTS.entropy), ring.new_key(EFFECTS.entropy)
    assert first != second
    for public in (first, second):
        private = X25519PrivateKey.from_private_bytes(again(ring).private_key(public))
        assert private.public_key().public_bytes_raw() == public
        assert (ring.folder / f"{public.hex()}.key").stat().st_mode & 0o777 == 0o600
    assert ring.folder.name == "ann.json.trainer"
    assert ring.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("data", [None, b"", bytes(32), bytes(33)])
def test_a_private_key_that_is_missing_or_damaged_is_said_with_its_file(ring, data):
    """Its file is named; no bytes of it are."""
    public = ring.new_key(EFFECTS.entropy)
    path = ring.folder / f"{public.hex()}.key"
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(AccountError, match=rf"{public.hex()}\.key is (missing|damaged)"):
        ring.private_key(public)


def test_a_share_opens_with_the_key_it_was_sealed_to(ring):
    """Older and newer keys beside it do not matter; another process opens it as well."""
    ring.new_key(EFFECTS.entropy)
    dealt(ring)
    ring.new_key(EFFECTS.entropy)
    for one in (ring, again(ring)):
        assert one.kept(DIGEST, PLACE) == (KEYS, 2)
        assert one.share(DIGEST, CONTEXT).encode() == SCENE.shares[1].encode()
        assert one.share(DIGEST, CONTEXT) is one.share(DIGEST, CONTEXT)


def test_no_secret_lies_in_a_file_repr_or_log(ring, caplog):
    """The share stays sealed at rest; the private key is in its own file alone."""
    caplog.set_level(logging.DEBUG)
    public = dealt(ring)
    share = ring.share(DIGEST, CONTEXT)
    private = ring.private_key(public)
    said = f"{ring!r}{vars(ring)}{share!r}{caplog.text}"
    for secret in (share.encode(), private):
        assert secret.hex() not in said
        assert repr(secret) not in said
        assert str(int.from_bytes(secret, "big")) not in said
    for path in ring.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert share.encode()[:16] not in path.read_bytes()
        assert private not in path.read_bytes() or path.name == f"{public.hex()}.key"


@pytest.mark.parametrize(
    "other",
    [
        {"context": b"chain 8, contract 0xAb"},
        {"public": X25519PrivateKey.generate().public_key().public_bytes_raw()},
    ],
    ids=["another chain", "somebody else"],
)
def test_an_envelope_for_elsewhere_is_refused(ring, other):
    """Sealed for another chain, or to somebody else: one sentence names the folder and the keys."""
    ring.new_key(EFFECTS.entropy)
    dealt(ring, **other)
    with pytest.raises(CryptoError, match=rf"none of the \d private keys in .*{DIGEST.hex()}"):
        ring.share(DIGEST, CONTEXT)


@pytest.mark.parametrize("envelope", [b"", bytes(304), bytes(5)])
def test_an_envelope_that_is_none_is_refused(ring, envelope):
    """Whatever a server sent as one."""
    ring.new_key(EFFECTS.entropy)
    ring.keep(KEYS.encode(), 1, envelope, PLACE)
    with pytest.raises(CryptoError, match="private keys"):
        ring.share(DIGEST, CONTEXT)


def test_a_dealers_wrong_share_is_refused_and_its_key_is_forgotten(ring):
    """It opens and does not fit to v_i: the dealer is named; the private key can still go."""
    wrong = object.__new__(KeyShare)
    wrong.keys, wrong.trainer = KEYS, 2
    wrong._secret = int.from_bytes(SCENE.shares[1].encode(), "big") ^ 1
    public = ring.new_key(EFFECTS.entropy)
    ring.keep(KEYS.encode(), 2, seal_share(wrong, public, CONTEXT), PLACE)
    with pytest.raises(CryptoError, match="verification key 2: the dealer's fault"):
        ring.share(DIGEST, CONTEXT)
    ring.forget(DIGEST)
    assert files(ring) == []


def test_what_are_no_keys_is_not_kept(ring):
    """Neither other bytes nor a number that no trainer has."""
    for keys, number in ((b"keys", 1), (KEYS.encode()[:-1], 1), (KEYS.encode(), 4)):
        with pytest.raises(CryptoError):
            ring.keep(keys, number, bytes(304), PLACE)
    with pytest.raises(AccountError, match=r"\.keys is missing"):
        ring.kept(DIGEST, PLACE)


def test_keys_serve_one_task(ring):
    """What is kept for one is neither kept nor found for another, until it is forgotten."""
    public = dealt(ring)
    envelope = seal_share(SCENE.shares[1], public, CONTEXT)
    with pytest.raises(AccountError, match=r"are kept for task 1, .* task 2 needs keys of its own"):
        ring.keep(KEYS.encode(), 2, envelope, "task 2")
    with pytest.raises(AccountError, match="are kept for task 1, not task 2"):
        ring.kept(DIGEST, "task 2")
    ring.forget(DIGEST)
    ring.keep(KEYS.encode(), 2, envelope, "task 2")
    assert ring.kept(DIGEST, "task 2") == (KEYS, 2)


def test_an_envelope_is_opened_without_keeping_it(ring):
    """The share is checked as a kept one is; no file changes, and it is as easily refused."""
    public = ring.new_key(EFFECTS.entropy)
    envelope = seal_share(SCENE.shares[1], public, CONTEXT)
    before = files(ring)
    share = ring.find_share(KEYS, dict.fromkeys((1, 2, 3), envelope), CONTEXT)
    assert (share.trainer, share.encode()) == (2, SCENE.shares[1].encode())
    assert files(ring) == before
    for numbers, context in (((1, 3), CONTEXT), ((1, 2, 3), b"elsewhere"), ((), CONTEXT)):
        with pytest.raises(CryptoError, match="none of the 1 private keys"):
            ring.find_share(KEYS, dict.fromkeys(numbers, envelope), context)


@pytest.mark.parametrize("cut", [0, 1, 60, -1])
def test_a_damaged_dealing_is_said_with_its_file(ring, cut):
    """A file that ends early; what is kept anew takes its place."""
    public = dealt(ring)
    path = ring.folder / f"{DIGEST.hex()}.keys"
    path.write_bytes(path.read_bytes()[:cut])
    for ask in (lambda: ring.share(DIGEST, CONTEXT), lambda: ring.kept(DIGEST, PLACE)):
        with pytest.raises(AccountError, match=rf"{DIGEST.hex()}\.keys is damaged"):
            ask()
    dealt(ring, public=public)
    assert ring.share(DIGEST, CONTEXT).trainer == 2


def test_forgetting_what_is_damaged_says_what_stays(ring):
    """Nobody knows then which private key opened it: an error, and the rest is removed."""
    public = dealt(ring)
    ring.share(DIGEST, CONTEXT)
    (ring.folder / f"{DIGEST.hex()}.keys").write_bytes(b"damaged")
    with pytest.raises(AccountError, match=r"is damaged: .* which private key opened its share is"):
        ring.forget(DIGEST)
    assert ring.public_keys() == [public]
    assert files(ring) == [f"{public.hex()}.key"]
    ring.forget(DIGEST)


def test_a_damaged_key_does_not_hide_another(ring):
    """A private key's file that is damaged is logged, and the others are tried."""
    (ring.folder / f"{'0' * 64}.key").parent.mkdir(mode=0o700)
    (ring.folder / f"{'0' * 64}.key").write_bytes(b"damaged")
    dealt(ring)
    assert ring.share(DIGEST, CONTEXT).trainer == 2


def test_after_forgetting_the_envelope_opens_for_nobody(ring):
    """Share, product and the private key are gone, for other processes too; others' keys stay."""
    other = again(ring)
    public, newer = dealt(ring), ring.new_key(EFFECTS.entropy)
    envelope = seal_share(SCENE.shares[1], public, CONTEXT)
    for one in (ring, other):
        one.share(DIGEST, CONTEXT)
    ring.keep_product(b"l" * 32, b"product")
    for _ in range(2):
        ring.forget(DIGEST)
        assert files(ring) == [f"{newer.hex()}.key"]
    for one in (ring, other):
        with pytest.raises(AccountError, match="is missing"):
            one.share(DIGEST, CONTEXT)
    ring.keep(KEYS.encode(), 2, envelope, PLACE)
    for one in (ring, other):
        with pytest.raises(CryptoError, match="private keys"):
            one.share(DIGEST, CONTEXT)
    Keyring(Path("/nowhere/at/all"), EFFECTS.disk).forget(DIGEST)


def test_a_key_that_opened_two_shares_goes_with_the_second(ring):
    """Two runs of one published key: the first that ends takes nothing from the other."""
    second = scene(2048, 3, 3, 3)
    public = dealt(ring)
    ring.keep(second.keys.encode(), 1, seal_share(second.shares[0], public, CONTEXT), PLACE)
    ring.share(DIGEST, CONTEXT)
    ring.share(second.keys.digest, CONTEXT)
    ring.forget(DIGEST)
    assert again(ring).share(second.keys.digest, CONTEXT).trainer == 1
    ring.forget(second.keys.digest)
    assert files(ring) == []


def test_the_newest_product_is_kept_and_damage_is_none(ring, caplog):
    """One product, of one list; a flipped bit or a torn file is logged and is no product."""
    assert ring.product(b"a" * 32) is None
    ring.keep_product(b"a" * 32, b"first")
    assert again(ring).product(b"a" * 32) == b"first"
    ring.keep_product(b"b" * 32, b"")
    assert (ring.product(b"a" * 32), ring.product(b"b" * 32)) == (None, b"")
    ring.keep_product(b"b" * 32, b"second")
    path = ring.folder / "product"
    assert path.stat().st_mode & 0o777 == 0o600
    for data in (path.read_bytes()[:-1], path.read_bytes()[:40]):
        path.write_bytes(data)
        caplog.clear()
        assert ring.product(b"b" * 32) is None
        assert "product is damaged" in caplog.text


def test_a_client_without_encryption_needs_no_gmpy2():
    """The module is imported, and a key drawn, where the extra `paillier` is not installed."""
    program = (
        "import sys; sys.modules['gmpy2'] = None\n"
        "import fedledger.clients.keyring\n"
        "assert 'fedledger.crypto.threshold.keys' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
