"""A world with vehicles."""

import pytest
from support.vehicles import World


@pytest.fixture
def world(tmp_path):
    made = []

    def make(**task):
        made.append(World(tmp_path, **task))
        return made[0]

    yield make
    for one in made:
        for number in list(one.vehicles):
            one.stop(number)
        one.ledger.close()
