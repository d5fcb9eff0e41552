"""How many examples a property is tried on: some in `make test`, many more in `make soak`."""

from hypothesis import settings

__all__ = ["LONGER", "examples", "longer"]

LONGER = 20
"""`make soak` tries this many times as many examples."""


def examples(count: int) -> settings:
    """Return the settings of a property for which the default of 100 is too many or too few."""
    return settings(max_examples=longer(count))


def longer(count: int) -> int:
    """Return `count` in `make test`, and `LONGER` times as many in `make soak`."""
    return count * (LONGER if settings.get_current_profile_name() == "soak" else 1)
