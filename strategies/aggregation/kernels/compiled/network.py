"""Batcher's odd-even merge sorting network over blocks of four rows.

A network of compare-exchanges still sorts when every wire carries a sorted block and every
compare-exchange is a merge of two blocks into a lower and an upper one (Knuth, The Art of Computer
Programming 3, 5.3.4). Blocks of four keep a merge's eight rows in registers: nine compare-exchanges
for eight loads and stores.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["BLOCK", "LOWER", "MERGE", "SORT", "UPPER", "merges", "odd_even_merge_sort"]

BLOCK = 4
SORT = ((0, 1), (2, 3), (0, 2), (1, 3), (1, 2))
MERGE = ((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6))
BOTH, LOWER, UPPER = 0, 1, 2


def odd_even_merge_sort(wires: int) -> list[tuple[int, int]]:
    """Return the compare-exchanges (low wire, high wire) that sort `wires` values, in order.

    The network is the one for the next power of two without what touches missing wires: those
    would hold the largest values and never move.

    Source: Batcher, Sorting networks and their applications, AFIPS 1968.
    """
    pairs: list[tuple[int, int]] = []
    run = 1
    while run < wires:
        step = run
        while step >= 1:
            for start in range(step % run, wires - step, 2 * step):
                pairs += [
                    (low, low + step)
                    for low in range(start, min(start + step, wires - step))
                    if low // (2 * run) == (low + step) // (2 * run)
                ]
            step //= 2
        run *= 2
    return pairs


@lru_cache(maxsize=64)
def merges(blocks: int, first: int, last: int) -> npt.NDArray[np.int64]:
    """Return the merges that put the sorted rows of blocks first..last in their place.

    Args:
        blocks: number of sorted blocks at the start.
        first: first block of the sorted order that is needed.
        last: last block needed.

    Returns:
        Array (m, 3) of int64: lower block, upper block, which result is needed: 0 both, 1 the
        lower, 2 the upper one. Merges that no needed block depends on are left out.
    """
    needed = set(range(first, last + 1))
    which = {(True, True): BOTH, (True, False): LOWER, (False, True): UPPER}
    kept = []
    for low, high in reversed(odd_even_merge_sort(blocks)):
        wanted = (low in needed, high in needed)
        if wanted in which:
            kept.append((low, high, which[wanted]))
            needed |= {low, high}
    program = np.array(kept[::-1], dtype=np.int64).reshape(-1, 3)
    program.setflags(write=False)
    return program
