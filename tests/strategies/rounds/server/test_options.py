"""What a strategy built on `LedgerStrategy` passes on is what that takes, and no more."""

from typing import get_type_hints

import pytest

from fedledger.strategies import LedgerClock, LedgerStrategy
from fedledger.strategies.rounds.server.options import Options


def test_options_are_the_keywords_of_every_strategy_on_a_ledger():
    """None is missing, and each has its type; the others are a strategy's own to say."""
    taken = get_type_hints(LedgerStrategy.__init__)
    own = {"protocol", "inner", "ledger", "store", "account", "clients", "model_id"}
    own |= {"clock", "parties", "return"}
    assert get_type_hints(Options) == {name: taken[name] for name in taken.keys() - own}


@pytest.mark.parametrize("own", [{"clock": LedgerClock()}, {"parties": {}}])
def test_what_a_strategy_says_itself_is_no_option(federation, own):
    """A strategy of Flower's has no other clock, and no other parties than clients."""
    with pytest.raises(
        TypeError, match=f"multiple values for keyword argument '{next(iter(own))}'"
    ):
        federation.anchored(**own)


def test_an_unknown_option_is_refused(federation):
    """A misspelt keyword is said by its name."""
    for make in (federation.anchored, federation.pofl):
        with pytest.raises(TypeError, match="'checkpoint'"):
            make(checkpoint="best")
