"""`python -m fedledger.experiments.sim SEED …`: run seeds, print traces or summaries."""

import argparse
import sys
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from .simulation import Failure, Report, simulate


def main(arguments: list[str] | None = None) -> int:
    """Run seeds; return 1 when something that must hold did not."""
    parser = argparse.ArgumentParser(prog="sim", description=__doc__)
    parser.add_argument("seed", type=int, help="the seed, or the first of them")
    parser.add_argument("--count", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--trace", action="store_true", help="print every line")
    chosen = parser.parse_args(arguments)
    bad = []
    seeds = range(chosen.seed, chosen.seed + chosen.count)
    for done, (seed, report, failure) in enumerate(_results(seeds, chosen.jobs), start=1):
        if chosen.trace:
            _say("\n".join(report.trace if report else failure[1]))
        count = f"[{done}/{chosen.count}] " if chosen.count > 1 else ""
        if report is None:
            bad.append(seed)
            _say(f"{count}FAILED {failure[0]}")
        else:
            _say(f"{count}{report}")
    if bad:
        _say(f"{len(bad)} of {chosen.count} seeds failed: {', '.join(map(str, sorted(bad)))}")
        _say("once more with every line: make sim TRACE=1 SEED=…")
    return int(bool(bad))


_Result = tuple[int, Report | None, tuple[str, list[str]]]


def _results(seeds: range, jobs: int) -> Iterator[_Result]:
    if jobs == 1:
        yield from map(_run, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(_run, seed) for seed in seeds]):
            yield future.result()


def _run(seed: int) -> _Result:
    try:
        return seed, simulate(seed), ("", [])
    except Failure as error:
        return seed, None, (str(error), error.trace)
    except Exception as error:  # noqa: BLE001 - what no error of ours may be is this seed's failure
        lines = traceback.format_exception(error)
        return seed, None, (f"seed {seed}: {type(error).__name__}: {error}", lines)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
