"""Compiling a kernel, kept on disk where there is a place for it."""

import logging
from collections.abc import Callable
from typing import Any

import numba.core.caching
from numba import njit

__all__ = ["kernel"]

logger = logging.getLogger(__name__)

FunctionCache: Any = numba.core.caching.FunctionCache  # untyped upstream


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function without the interpreter's lock; keep it for the next process if possible.

    Numba keeps what it compiled beside the source, or in the user's cache. Where neither can be
    written, or the disk is full, or a kept kernel is damaged, each process compiles its own.
    """
    compiled: Any = njit(nogil=True)(function)
    try:
        compiled._cache = _Kept(function)  # noqa: SLF001 - what `cache=True` does
    except RuntimeError as error:  # no folder can be written
        logger.debug("%s", error)
    return compiled


class _Kept(FunctionCache):  # type: ignore[misc]
    """Numba's cache, of which a failure is a kernel that is not there."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
            logger.debug("a kept kernel is not used: %s", error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 - whatever was wrong with a kept index, too
            logger.debug("a kernel is not kept: %s", error)
