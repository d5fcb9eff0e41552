"""An audit in lines of text: a line a task where all is well, each round where it is not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...strategies import RoundVerdict
from ...strategies.audit.summary import ATTESTED_MEANS, AuditSummary
from ...strategies.rounds.evidence.checks import Outcome
from ...strategies.rounds.evidence.reasons import reason_of
from ...strategies.rounds.evidence.tally import PhaseTally

__all__ = ["VerdictLines", "summary_lines", "trouble_lines"]

_TASKS = 20  # lines of tasks that passed
_ROUNDS = 20  # rounds that did not
_ACCOUNTS = 5
_SENTENCES = 8
_MORE = "listed by --format json"


class VerdictLines:
    """Verdicts as they come, as lines: rounds of a task that passed are one, whatever else its own.

    Give each verdict to `add`, then call `end`; both return lines to print.
    """

    def __init__(self) -> None:
        self._passed: list[RoundVerdict] = []
        self._tasks = 0
        self._others = 0

    def add(self, verdict: RoundVerdict) -> list[str]:
        """Return what can be said now."""
        if verdict.passed:
            if not self._passed or _follows(self._passed[-1], verdict):
                self._passed.append(verdict)
                return []
            lines = self._flush()
            self._passed.append(verdict)
            return lines
        lines = self._flush()
        self._others += 1
        if self._others <= _ROUNDS:
            lines += _other(verdict)
        return lines

    def end(self) -> list[str]:
        """Return what is left to say."""
        lines = self._flush()
        if self._tasks > _TASKS:
            lines.append(f"passed  {self._tasks - _TASKS} more tasks, {_MORE}")
        if self._others > _ROUNDS:
            lines.append(f"not passed: {self._others - _ROUNDS} more rounds, {_MORE}")
        return lines

    def _flush(self) -> list[str]:
        found, self._passed = self._passed, []
        if not found:
            return []
        self._tasks += 1
        return [_passed(found)] if self._tasks <= _TASKS else []


def summary_lines(summary: AuditSummary) -> list[str]:
    """Return an audit's summary: rounds, answers, accounts, and what was not checked."""
    tally, outcomes = summary.tally, summary.outcomes
    total = sum(outcomes.values())
    counts = [
        f"{summary.proved} proved",
        f"{summary.attested} attested",
        f"{tally.kept} kept their model",
        *(f"{n} {word}" for n, word in _amiss(outcomes, tally.rollbacks) if n),
    ]
    lines = [f"{'1 round' if total == 1 else f'{total} rounds'}: {', '.join(counts)}"]
    lines += [line for phase in tally.phases for line in _phase(phase)]
    lines += _stake(summary)
    if summary.attested:
        lines.append(ATTESTED_MEANS)
    lines += [f"not checked: {one}" for one in summary.unchecked[:_SENTENCES]]
    if (more := len(summary.unchecked) - _SENTENCES) > 0:
        lines.append(f"not checked: {more} more things, {_MORE}")
    return lines


def trouble_lines(summary: AuditSummary) -> list[str]:
    """Return what a user has to hear about tasks whose updates were not used, or mostly lost."""
    lines = list(summary.troubles[:_SENTENCES])
    if (more := len(summary.troubles) - _SENTENCES) > 0:
        lines.append(f"of {more} more tasks no update was used, or most did not count, {_MORE}")
    return lines


def _amiss(outcomes: Mapping[str, int], rollbacks: int) -> Iterator[tuple[int, str]]:
    yield rollbacks, "rolled back"
    yield outcomes[Outcome.UNCHECKED.value], "could not be checked"
    yield outcomes[Outcome.FAILED.value], "FAILED"


def _phase(phase: PhaseTally) -> Iterator[str]:
    said = f"{phase.name}: {phase.counted} counted, {phase.late} late, "
    codes = sorted(phase.dropped, key=lambda code: (-phase.dropped[code], code))
    said += f"{sum(phase.dropped.values())} dropped"
    if codes:
        reasons = (f"{phase.dropped[code]} {code}: {reason_of(code).sentence}" for code in codes)
        said += f" ({'; '.join(reasons)})"
    if not phase.absent:
        yield f"{said}; none of {len(phase.rounds)} registered accounts absent"
        return
    yield said
    absent = sorted(phase.absent, key=lambda one: (-phase.absent[one], one))
    some = [f"{one} in {phase.absent[one]} of {phase.rounds[one]}" for one in absent[:_ACCOUNTS]]
    if len(absent) > _ACCOUNTS:
        some.append(f"{len(absent) - _ACCOUNTS} more, {_MORE}")
    those = f"{len(absent)} of {len(phase.rounds)} registered accounts absent"
    yield f"{phase.name}: {those}: {', '.join(some)}"


def _stake(summary: AuditSummary) -> Iterator[str]:
    """Yield the line about tokens, where there are any: where each is from, what is deposited."""
    found = summary.stake
    if not found["minted"]:
        return
    mints = [mint for one in summary.money for mint in one.mints if mint.explained]
    before = [mint for mint in mints if not mint.during]
    said = [f"{found['rewards']} as rewards of rounds"]
    for part, when in ((before, "outside of tasks"), ([m for m in mints if m.during], "")):
        if part:
            tasks = sorted({task for mint in part for task in mint.during})
            when = when or f"WHILE task {', '.join(map(str, tasks[:_ACCOUNTS]))} was open"  # noqa: PLW2901
            said.append(
                f"{sum(mint.amount for mint in part)} {when} by {_some(mint.by for mint in part)} "
                f"for {len({mint.to for mint in part})} accounts"
            )
    if found["unexplained"]:
        said.append(f"{found['unexplained']} that NOBODY EXPLAINS")
    line = f"stake: {found['minted']} minted: {', '.join(said)}"
    if found["deposited"]:
        line += f"; {found['deposited']} deposited, {found['locked']} of them locked"
    if found["nobodys"]:
        line += f"; {found['nobodys']} sent to Bonds without a deposit"
    yield line


def _some(names: Iterable[str]) -> str:
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - 1} more" if len(each) > 1 else ""
    return f"{each[0]}{more}"


def _follows(last: RoundVerdict, verdict: RoundVerdict) -> bool:
    same = (last.task, last.model_id) == (verdict.task, verdict.model_id)
    return same and verdict.round == last.round + 1


def _passed(found: Sequence[RoundVerdict]) -> str:
    first, last = found[0], found[-1]
    rules = Counter(verdict.rule for verdict in found)
    said = [
        ", ".join(rule if len(found) == 1 else f"{n} {rule}" for rule, n in rules.items()),
        f"{sum(verdict.accepted for verdict in found)} updates",
        f"{sum(verdict.contributors for verdict in found)} rewarded",
    ]
    lost = {name: sum(getattr(one, name) for one in found) for name in ("late", "dropped")}
    said += [f"{n} {name}" for name, n in lost.items() if n]
    how = Counter(verdict.aggregate for verdict in found)
    if len(found) == 1:
        said.append(f"aggregate {first.aggregate}")
        return f"passed  {first.model_id} round {first.round}: {', '.join(said)}"
    said.append(f"aggregates {', '.join(f'{n} {word}' for word, n in how.items())}")
    return f"passed  {first.model_id} rounds {first.round}-{last.round}: {', '.join(said)}"


def _other(verdict: RoundVerdict) -> list[str]:
    where = f"{verdict.model_id} round {verdict.round}" if verdict.round else verdict.model_id
    word = "FAILED" if verdict.outcome is Outcome.FAILED else "could not check"
    lines = [f"{word}  {where}: {verdict.reason}"]
    if (at := verdict.witness) is not None:
        found = {"phase": at.phase, "answer of": at.answer, "value": at.coordinate, "step": at.step}
        places = [f"{name} {place}" for name, place in found.items() if place is not None]
        lines.append(f"        look at: {', '.join(places)}")
    return lines
