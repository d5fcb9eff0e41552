"""How many examples a property is tried on: some in `make test`, many more in `make soak`."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

__all__ = ["LONGER", "examples", "longer", "run_calls"]

LONGER = 20
"""`make soak` tries this many times as many examples."""


def examples(count: int) -> settings:
    """Return the settings of a property for which the default of 100 is too many or too few."""
    return settings(max_examples=longer(count))


def longer(count: int) -> int:
    """Return `count` in `make test`, and `LONGER` times as many in `make soak`."""
    return count * (LONGER if settings.get_current_profile_name() == "soak" else 1)


def run_calls(machine, count=10, **attributes):
    """Run a machine of random calls that takes minutes to shrink, its class with `attributes`."""
    run_state_machine_as_test(
        type("Machine", (machine,), attributes),
        settings=settings(
            max_examples=longer(count),
            stateful_step_count=12,
            phases=[Phase.reuse, Phase.generate],  # shrinking would take minutes
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
