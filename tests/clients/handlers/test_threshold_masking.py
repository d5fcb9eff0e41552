"""A trainer masks: fresh every time, the same answer to the same question, and no nonsense."""

import logging
from itertools import combinations

import numpy as np
import pytest
from support.encrypted import EncryptedFederation
from support.hostile_server import HostileServer

from fedledger.errors import AccountError, FedledgerError, InvalidUpdate
from fedledger.ledger_plugins.contracts.threshold_keys.contents import CIPHERTEXTS, PROOF


@pytest.fixture
def server(tmp_path):
    """A server whose trainers accepted the keys."""
    federation = EncryptedFederation(tmp_path)
    server = HostileServer(federation)
    server.accepts(0, 1)
    yield server
    federation.close()


def rows(sent):
    return {one.tobytes() for one in sent.arrays[CIPHERTEXTS]}


def test_no_two_maskings_have_anything_in_common(server):
    """One update, two trainers, three rounds, two questions: no ciphertext and no proof twice.

    FLChain draws its randomness once: quotients of two rounds then show what changed.
    """
    sent = [server.masked(one, number) for number in (1, 2) for one in (0, 1)]
    sent += [server.masked(0, 3), server.masked(0, 3, asked="in other words")]
    for one, other in combinations(sent, 2):
        assert not rows(one) & rows(other)
        assert one.arrays[PROOF].tobytes() != other.arrays[PROOF].tobytes()
        assert one.entry.signature != other.entry.signature
    assert all(len(rows(one)) == 2 for one in sent)  # the two ciphertexts of one are as fresh


def test_no_quotient_of_two_rounds_is_a_plain_difference(server):
    """With one blinding twice, c / c' would be (1+n)^(m-m'): anybody takes the logarithm."""
    first, second = server.masked(0, 1), server.masked(0, 2)
    n = server.keys.public.n
    for a, b in zip(first.arrays[CIPHERTEXTS], second.arrays[CIPHERTEXTS], strict=True):
        one, other = (int.from_bytes(row.tobytes(), "big") for row in (a, b))
        quotient = one * pow(other, -1, n * n) % (n * n)
        assert quotient % n != 1


def test_the_same_question_gets_the_same_answer(server):
    """A server that restarts asks again; training again, the trainer would answer otherwise."""
    first = server.masked(0)
    server.learned[0] = 0.5
    again = server.masked(0)
    assert again.entry == first.entry
    assert rows(again) == rows(first)


def test_a_damaged_answer_is_made_anew_with_nothing_in_common(server):
    """It is never mixed with the old one, and both cannot be on one list."""
    first = server.masked(0)
    [folder] = (server.federation.path / "journals").glob("*/0.answers")
    for path in folder.iterdir():
        if path.is_file() and not path.name.startswith("."):
            path.write_bytes(path.read_bytes()[:-1])
    again = server.masked(0)
    assert not rows(again) & rows(first)
    listed = [first, again, server.masked(1), server.masked(1, asked="more")]
    with pytest.raises(AccountError, match="names a trainer twice"):
        server.asked_to_sign(0, server.list_of(*listed), listed)


def test_an_earlier_round_is_masked_no_more(server):
    """The journal refuses a replayed round before anything is trained."""
    server.masked(0, 2)
    server.app = None
    with pytest.raises(AccountError, match="round 1 of task 1 is over"):
        server.masked(0, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_not_masked(server, value):
    """NaN and infinity end the trainer's round with the package's own error."""
    server.learned[0] = value
    with pytest.raises(FedledgerError) as caught:
        server.masked(0)
    assert isinstance(caught.value, InvalidUpdate)


def test_what_is_beyond_the_clip_is_cut_and_told(server, caplog):
    """The trainer's own log counts the values, and shows none."""
    server.learned[0] = 1.5
    with caplog.at_level(logging.WARNING, "fedledger"):
        assert server.masked(0)
    [said] = [one.getMessage() for one in caplog.records if "beyond the clip" in one.getMessage()]
    assert said == "round 1: 100 of 100 values are beyond the clip of 1, and are cut there"


def test_who_accepted_no_keys_trains_nothing(server):
    """Trainer 2 was never asked; the app is not called."""
    server.app = None
    with pytest.raises(AccountError, match="no share of the keys"):
        server.masked(2)
