"""What results have to say of the machine they come from."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["busy_since", "described", "ticks"]

_STAT = Path("/proc/stat")
_CPUS = Path("/proc/cpuinfo")
_PACKAGES = ("fedledger", "asyncssh", "cryptography", "httpx", "uvicorn", "ipfshttpclient")

Ticks = tuple[int, int]
"""Processor time so far, and what of it was idle."""


def ticks() -> Ticks | None:
    """Return what the whole machine has done so far; None where the system does not tell."""
    if not _STAT.exists():
        return None
    fields = [int(one) for one in _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[3] + fields[4]  # idle, and waiting for a disk


def busy_since(before: Ticks | None) -> float | None:
    """Return the share of the machine's processors that was busy since then."""
    now = ticks()
    if before is None or now is None or now[0] == before[0]:
        return None
    return 1 - (now[1] - before[1]) / (now[0] - before[0])


def described() -> dict[str, Any]:
    """Return the machine and the versions that matter."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    if not _CPUS.exists():
        return platform.processor()
    lines = _CPUS.read_text(encoding="utf-8", errors="replace").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
