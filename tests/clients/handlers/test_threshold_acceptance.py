"""A trainer accepts keys of its task, of a share that fits, for that task alone."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from support.encrypted import EFFECTS, EncryptedFederation
from support.hostile_server import HostileServer

from fedledger.crypto.threshold import Dealing, deal, seal_share
from fedledger.errors import AccountError, ConfigError, CryptoError
from fedledger.formats import canonical_json, parse_json
from fedledger.ledger_plugins.contracts.threshold_keys.contents import SHARES
from fedledger.ledger_plugins.contracts.threshold_keys.dealing import context_of


@pytest.fixture
def server(tmp_path):
    """A server whose trainers know no keys yet."""
    federation = EncryptedFederation(tmp_path)
    yield HostileServer(federation)
    federation.close()


@cache
def other_keys():
    """Keys of the same form that are not the task's."""
    return deal(2048, 5, 3, EFFECTS.entropy)


def sealed(server, keys, shares, **where):
    """Return a dealing of these shares, which each trainer can open."""
    federation = server.federation
    place = {"chain": 4242, "contract": federation.contract} | where
    context = context_of(place["chain"], place["contract"])
    recipients = [federation.keyring(at).new_key(EFFECTS.entropy) for at in range(5)]
    pairs = zip(shares, recipients, strict=True)
    return Dealing(keys.encode(), tuple(seal_share(*pair, context) for pair in pairs)).encode()


def specify(server, dealing, **settings):
    """Let the task's specification name a dealing, whatever is in it."""
    said = parse_json(server.text.encode())
    keys = Dealing.decode(dealing).digest.hex()
    named = {"dealing": server.federation.store.put(dealing), "keys": keys}
    said["settings"] |= named | settings
    server.text = canonical_json(said).decode()


@pytest.mark.parametrize("text", ["", "zz", None, 7, "00", "ff" * 40], ids=str)
def test_what_is_no_dealing_is_called_none(server, text):
    """Other bytes, and what are no bytes."""
    with pytest.raises((ConfigError, CryptoError), match="dealing"):
        server.ask(0, "keys", dealing=text)


def test_keys_of_the_servers_own_are_refused(server):
    """It deals anew, to the same trainers; the task's specification names other keys."""
    keys, shares = other_keys()
    with pytest.raises(AccountError, match="are not those of the task's specification"):
        server.ask(0, "keys", dealing=sealed(server, keys, shares).hex())


def test_another_dealing_of_the_same_keys_takes_no_share_away(server):
    """A server cannot put an envelope that opens for nobody in the place of the one accepted."""
    server.accepts(0)
    honest = Dealing.decode(server.dealing())
    spoilt = Dealing(honest.keys, tuple(bytes(len(one)) for one in honest.envelopes))
    swapped = Dealing(honest.keys, honest.envelopes[::-1])
    for other in (spoilt, swapped):
        with pytest.raises(AccountError, match="is not the one of the task's specification"):
            server.ask(0, "keys", number=2, dealing=other.encode().hex())
    assert server.masked(0, 2)


def test_a_dealers_wrong_share_is_named(server):
    """It opens, and does not fit to v_1; trainer 2's does, and it accepts."""
    keys, shares = other_keys()
    wrong = SimpleNamespace(keys=keys, trainer=1, encode=shares[1].encode)
    specify(server, dealing := sealed(server, keys, [wrong, *shares[1:]]))
    with pytest.raises(CryptoError, match="does not fit to verification key 1: the dealer's fault"):
        server.ask(0, "keys", dealing=dealing.hex())
    assert server.ask(1, "keys", dealing=dealing.hex())


@pytest.mark.parametrize("where", [{"chain": 1}, {"contract": "0x" + "1" * 40}], ids=str)
def test_a_dealing_for_another_place_opens_for_nobody(server, where):
    """Each envelope is bound to chain and contract."""
    keys, shares = other_keys()
    specify(server, dealing := sealed(server, keys, shares, **where))
    with pytest.raises(CryptoError, match="opens it as the share of trainer 1"):
        server.ask(0, "keys", dealing=dealing.hex())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"threshold": 4, "floor": 5}, "threshold"),
        ({"trainers": 4, "total_weight": 4}, "trainers"),
        ({"key_bits": 3072}, "3072"),
    ],
    ids=str,
)
def test_keys_that_were_not_agreed_on(server, settings, says):
    """Of another threshold, number of trainers or size than the specification says."""
    said = parse_json(server.text.encode())
    said["settings"] |= settings
    del said["parties"]["clients"][said["settings"]["trainers"] :]
    server.text = canonical_json(said).decode()
    with pytest.raises(CryptoError, match=says):
        server.accepts(0)


def test_the_same_keys_serve_no_second_task(server):
    """Not under the same specification in another task, nor with fewer members in a second one."""
    server.accepts(*range(5))
    sent = [server.masked(one) for one in range(5)]
    server.signatures([0], sent)
    server.task = 2
    with pytest.raises(AccountError, match="serve no other task"):
        server.accepts(0)
    with pytest.raises(AccountError, match=r"are kept for \S+, not"):
        server.masked(0)
    with pytest.raises(AccountError, match=r"are kept for \S+, not"):
        server.asked_to_sign(0, server.list_of(*sent[:4]), sent[:4])
    server.task = 1
    assert server.signatures([0], sent)


def test_asked_again_a_trainer_accepts_again(server):
    """A server that was killed before it heard the acceptance gets it once more, and in round 2."""
    first, again = server.accepts(0, 0)
    later = server.ask(0, "keys", 2, dealing=server.dealing().hex())
    numbers = [one.content["shares"][SHARES].numpy() for one in (first, again, later)]
    assert np.array_equal(numbers[0], numbers[1])
    assert np.array_equal(numbers[0], numbers[2])


def test_a_trainer_that_forgot_its_keys_answers_nothing_more(server):
    """At a run's end share and private key are gone, and nobody brings them back."""
    server.accepts(*range(5))
    sent = [server.masked(one) for one in range(5)]
    server.signatures([0], sent)
    server.federation.keyring(0).forget(server.keys.digest)
    for asked in (lambda: server.masked(0, 2), lambda: server.signatures([0], sent)):
        with pytest.raises(AccountError, match="no share of the keys"):
            asked()
    with pytest.raises(CryptoError, match="opens it as the share of trainer 1"):
        server.accepts(0)


@pytest.mark.parametrize("damage", ["cut", "a bit", "gone"])
def test_damaged_keys_are_no_keys(server, damage):
    """A file that is not whole is named, nothing is signed; the server's dealing mends it."""
    server.accepts(0)
    path = server.federation.keyring(0).folder / f"{server.keys.digest.hex()}.keys"
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[:-9] if damage == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(AccountError, match="is missing" if damage == "gone" else "is damaged"):
        server.masked(0)
    server.accepts(0)
    assert server.masked(0)


def test_a_private_key_that_is_gone_opens_no_share(server):
    """Its owner cannot open the envelope any more, so it accepts nothing and gives nothing."""
    server.accepts(*range(5))
    sent = [server.masked(one) for one in range(5)]
    signed = server.signatures(range(5), sent)
    for path in server.federation.keyring(0).folder.glob("*.key"):
        path.unlink()
    with pytest.raises(CryptoError, match="none of the 0 private keys"):
        server.shares(0, server.list_of(*sent), signed)


def test_a_trainer_of_no_place_in_the_dealing(server):
    """Its number is its place in the specification, and the envelope of that number is its own."""
    said = parse_json(server.text.encode())
    said["parties"]["clients"] = said["parties"]["clients"][::-1]
    server.text = canonical_json(said).decode()
    with pytest.raises(CryptoError, match="opens it as the share of trainer 5"):
        server.accepts(0)
