"""A server and t-1 trainers against one trainer: what they see opens one sum a round, and no more.

The coalition has its own accounts and key shares, says what it likes to each of the others and in
any order, and keeps every answer. The others are the package's own trainers.
"""

from functools import partial
from itertools import combinations

import numpy as np
import pytest
from support.encrypted import EncryptedFederation, dealt
from support.hostile_server import HostileServer

from fedledger.crypto.paillier import add, from_bytes
from fedledger.crypto.paillier.cores import here
from fedledger.crypto.threshold import combine, decode_numbers, lift, partial_decryptions
from fedledger.errors import CryptoError, FedledgerError
from fedledger.ledger_plugins.contracts.threshold_keys.contents import (
    CIPHERTEXTS,
    SHARES,
    bytes_of,
    packing_of,
)
from fedledger.ledger_plugins.contracts.threshold_keys.terms import most_vanished, quorum_of

VICTIM = 0
CLIP = (2**15 - 1) / 2**15
"""So that values of 16 bits are multiples of 2^-15, and none is rounded."""


class Coalition:
    """A server with the accounts and key shares of the last t-1 trainers.

    Args:
        path: its folder.
        size: n.
        threshold: t.
    """

    def __init__(self, path, size=5, threshold=3):
        self.federation = EncryptedFederation(path, size=size, threshold=threshold)
        self.server = HostileServer(self.federation, terms_of={"clip": CLIP})
        self.server.accepts(*range(size))
        self.own = range(size - threshold + 1, size)
        self.honest = range(size - threshold + 1)
        self.keys, self._shares = dealt(size, threshold)
        self.refusals = []

    def numbers(self, sent):
        return from_bytes(self.keys.public, bytes_of(sent.arrays, CIPHERTEXTS), 2)

    def product(self, sent):
        weights = self.server.list_of(*sent).weights(self.server.terms)
        return add(self.keys.public, [self.numbers(one) for one in sent], weights)

    def shares_of(self, numbers):
        """Return its own shares of any ciphertexts."""
        return {
            one + 1: partial_decryptions(self._shares[one], numbers, here()) for one in self.own
        }

    def tried(self, ask):
        """Return what came of asking a trainer, or None; a refusal is one of the package's own."""
        try:
            return ask()
        except FedledgerError as error:
            self.refusals.append(str(error))
            return None

    def pursue(self, sent, whom, number=1):
        """Try to open the list of these updates, by every handler that takes a list.

        Args:
            sent: the updates.
            whom: the honest trainers that are asked, in this order.
            number: the round.

        Returns:
            How many have signed it, whose shares there are by trainer's number, and its product.
        """
        server, clients = self.server, self.federation.clients
        listed = server.list_of(*sent)
        digest = server.digest(listed, number)
        signed = {
            clients[one]: server.forged_signature(one, digest, number=number) for one in self.own
        }
        for one in whom:
            found = self.tried(partial(server.signatures, [one], sent, number))
            signed |= found or {}
        product = self.product(sent)
        shares = self.shares_of(product)
        for one in whom:
            given = self.tried(partial(server.shares, one, listed, signed, number))
            if given is not None:
                data = bytes_of(given, SHARES)
                shares[one + 1] = decode_numbers("shares", self.keys, data, len(product))
            told = {"entries": listed.plain(), "openers": [clients[one]]}
            self.tried(partial(server.ask, one, "opened", number, **told))
        return len(signed), shares, product

    def opened(self, shares, numbers):
        """Return the messages, or None where the shares open nothing."""
        try:
            return lift(self.keys, numbers, combine(self.keys, numbers, shares, here()), here())
        except CryptoError:
            return None


@pytest.fixture
def coalition(tmp_path):
    coalition = Coalition(tmp_path)
    yield coalition
    coalition.federation.close()


def test_one_list_opens_and_no_other_one_however_it_is_asked_for(coalition):
    """After the sum of all five, no list of four opens, nor one with another content of a foe's.

    Every honest trainer is asked for each of them by every handler.
    """
    server, honest = coalition.server, coalition.honest
    sent = [server.masked(one) for one in range(5)]
    signers, shares, product = coalition.pursue(sent, honest)
    assert signers == 5
    assert coalition.opened(shares, product) is not None
    other = server.masked(4, asked="once more")
    lists = [list(one) for one in combinations(sent, 4)] + [[*sent[:4], other]]
    for second in lists:
        signers, others, product = coalition.pursue(second, honest)
        assert (signers, len(others)) == (2, 2)
        assert coalition.opened(others, product) is None
        assert coalition.opened(shares | others, product) is None
        assert coalition.opened(others | shares, product) is None


def test_their_own_shares_and_everybodys_of_the_sum_open_no_single_update(coalition):
    """t-1 shares are too few, and those of the sum are of no other ciphertext."""
    server = coalition.server
    sent = [server.masked(one) for one in range(5)]
    _, shares, product = coalition.pursue(sent, coalition.honest)
    assert coalition.opened(shares, product) is not None
    victim = coalition.numbers(sent[VICTIM])
    own = coalition.shares_of(victim)
    with pytest.raises(CryptoError, match="of 2 trainers, and 3 are needed"):
        combine(coalition.keys, victim, own, here())
    for one in coalition.honest:
        assert coalition.opened(own | {one + 1: shares[one + 1]}, victim) is None


@pytest.mark.parametrize(
    "first", [2, *(pytest.param(one, marks=pytest.mark.soak) for one in (0, 1, 3))]
)
def test_of_two_lists_shown_to_different_trainers_one_opens_at_most(coalition, first):
    """The first `first` honest trainers see one list, the others another: no split opens both.

    Then everybody is shown both.
    """
    server = coalition.server
    sent = [server.masked(one) for one in range(5)]
    lists = sent, sent[:4]
    whom = list(coalition.honest)
    for again in (False, True):
        one = coalition.pursue(lists[0], whom if again else whom[:first])
        two = coalition.pursue(lists[1], whom if again else whom[first:])
    opened = [coalition.opened(shares, product) is not None for _, shares, product in (one, two)]
    assert sum(opened) <= 1
    assert sum(signers >= server.terms.quorum for signers, _, _ in (one, two)) <= 1


def test_the_best_estimate_is_the_sum_less_their_own(coalition):
    """Two worlds with one honest sum show the coalition the same, whatever the victim's update is.

    In the second the victim's update is greater by what another honest one's is less. What opens is
    the same to the bit; less the coalition's own it is the honest sum, of which nobody tells the
    parts.
    """
    server = coalition.server
    step = 2.0**-15
    found = []
    for number, moved in enumerate((0, 64), start=1):
        ours = (3 * step, -7 * step)
        server.learned = [(80 + moved) * step, (16 - moved) * step, 32 * step, *ours]
        sent = [server.masked(one, number) for one in range(5)]
        _, shares, product = coalition.pursue(sent, coalition.honest, number)
        messages = coalition.opened(shares, product).messages
        packing = packing_of(server.terms)
        weights = server.list_of(*sent).weights(server.terms)
        assert weights == [1] * 5
        sums = packing.unpack(messages, 100, 5)
        found.append((messages, np.asarray(packing.mean(sums, 5)) * 5 - sum(ours)))
    (one, honest), (other, _) = found
    assert one == other
    assert np.array_equal(honest, np.full(100, 128 * step))


@pytest.mark.soak
def test_nine_trainers_and_four_foes_that_reset_three_of_them(tmp_path):
    """Two honest trainers move on; the three that stay behind do not forget the list of round 1.

    n = 9, t = 5: seven sign. A journal that kept two rounds of lists and could be led through two
    empty ones gave three signatures more to the four foes': a second list, less the victim.
    """
    coalition = Coalition(tmp_path, 9, 5)
    server, clients = coalition.server, coalition.federation.clients
    sent = [server.masked(one) for one in range(9)]
    signers, shares, product = coalition.pursue(sent, coalition.honest)
    assert signers == 9
    assert coalition.opened(shares, product) is not None
    left, behind = (0, 1), (2, 3, 4)
    for number in (2, 3):
        later = [server.masked(one, number) for one in (*left, *coalition.own)]
        listed = server.list_of(*later)
        for one in behind:
            told = {"entries": listed.plain(), "openers": [clients[one]]}
            coalition.tried(partial(server.ask, one, "opened", number, **told))
    signers, others, product = coalition.pursue(sent[1:], behind)
    assert (signers, len(others)) == (4, 4)
    assert coalition.opened(shares | others, product) is None
    coalition.federation.close()


@pytest.mark.parametrize("trainers", range(3, 33))
def test_no_coalition_of_fewer_than_t_has_two_quorums(trainers):
    """For all n up to 32 and all t: of two lists that a quorum signed, an honest one signed both.

    The c = t-1 foes sign both lists; each honest trainer one. And the quorum is the least that does
    it: with one fewer there is a split that opens both.
    """
    for threshold in range(trainers // 2 + 1, trainers + 1):
        quorum, foes = quorum_of(trainers, threshold), threshold - 1
        honest = trainers - foes
        splits = [(foes + one, foes + honest - one) for one in range(honest + 1)]
        assert not [one for one in splits if min(one) >= quorum]
        if honest > 1:
            assert [one for one in splits if min(one) >= quorum - 1]
        assert threshold <= quorum <= trainers
        assert most_vanished(trainers, threshold) == trainers - quorum
        assert not [two for two in splits if min(two) > (trainers + threshold - 1) / 2]
