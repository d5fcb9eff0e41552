"""What every benchmark measures: best wall time, and memory taken beyond what was there before."""

import ctypes
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Measurement", "extra_memory", "measure"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
_TURN = 0.05


@dataclass(frozen=True, slots=True)
class Measurement:
    """One implementation of one task.

    Attributes:
        ms: the shortest wall time of a call, in milliseconds.
        extra_mb: peak of resident memory during a call less what was resident before, in MB of
            10⁶ bytes, the result included; None where the system does not tell (not Linux).
        runs: how many calls were timed.
    """

    ms: float
    extra_mb: float | None
    runs: int


def measure(calls: Mapping[str, Callable[[], object]], *, seconds: float) -> dict[str, Measurement]:
    """Measure several implementations of one task in turns, so that all meet the same machine.

    Each is called once for warm caches and once for memory; then rounds follow in which each is
    timed again and again for a twentieth of a second, but once at least.

    Args:
        calls: what to measure, by name; results are dropped.
        seconds: length of the rounds together, at least; there are two rounds at least.
    """
    extra = {}
    for name, call in calls.items():
        call()
        extra[name] = extra_memory(call)
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    rounds = 0
    while rounds < 2 or time.perf_counter() < end:
        for name, call in calls.items():
            spent = 0.0
            while spent < _TURN:
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
                spent += times[name][-1]
        rounds += 1
    return {
        name: Measurement(min(found) * 1e3, extra[name], len(found))
        for name, found in times.items()
    }


def extra_memory(call: Callable[[], object]) -> float | None:
    """Return the peak of resident memory during a call, beyond what was there, in MB of 10⁶ bytes.

    None where the system does not tell.
    """
    if not _CLEAR.exists():
        return None
    if sys.platform == "linux":
        # Give freed memory back first, or a call that reuses it seems to need none.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    before = _status("VmRSS")
    call()
    return max(0, _status("VmHWM") - before) / 1e6


def _status(field: str) -> int:
    """Return a field of this process's status in bytes."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise KeyError(field)
