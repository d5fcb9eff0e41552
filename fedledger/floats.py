"""Whether this thread computes as IEEE 754 says, which a library can change behind one's back."""

from fedledger.errors import ConfigError

__all__ = ["check_floats"]

# Names, not literals: Python computes with literals when it compiles, in another mode perhaps.
_SMALLEST_NORMAL = 2.0**-1022
_HALF = 0.5
_ONE = 1.0
_HALF_STEP = 2.0**-53  # half of the distance from 1 to the next f64
_STEP_AND_HALF = 3 * _HALF_STEP
_NEXT = _ONE + 2 * _HALF_STEP


def check_floats() -> None:
    """Make sure that denormal numbers count and that results are rounded to nearest, ties to even.

    `torch.set_flush_denormal(True)`, or loading a library that was compiled with `-ffast-math`,
    lets a processor take denormal numbers for zero, in this thread and in those it starts. What is
    computed then is not what others compute. The check takes less than a microsecond.

    Raises:
        ConfigError: this thread computes otherwise.
    """
    if _SMALLEST_NORMAL * _HALF == 0:
        raise ConfigError(
            "this thread takes denormal numbers for zero, so its results are not everybody's: "
            "torch.set_flush_denormal(True), or a library compiled with -ffast-math, set that"
        )
    # Up shows in the first sum; down and towards zero leave the second one where it began.
    if _ONE + _HALF_STEP != _ONE or _ONE + _STEP_AND_HALF <= _NEXT:
        raise ConfigError(
            "this thread does not round to nearest, ties to even, so its results are not "
            "everybody's: something called fesetround"
        )
