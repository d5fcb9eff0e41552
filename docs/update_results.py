"""Put a run's table, numbers and pictures into docs/results: what is shown there was really made.

python docs/update_results.py outputs/all-attacks/TIME [NAME]

NAME is the folder's name, the experiment's by default. Where an election was among the
approaches, election.md compares it with the best single rule under each attack.
"""

import csv
import re
import shutil
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from statistics import mean

RESULTS = Path(__file__).parent / "results"
SHOWN = {"config.toml", "table.md", "results.csv", "trainers.csv"}
ELECTED = "PoFL, elected"
MIXES = "PoFL"


def main(run: Path, name: str | None = None) -> None:
    """Copy what a run wrote, and compare the election with single rules."""
    with (run / "config.toml").open("rb") as file:
        name = name or tomllib.load(file)["name"]
    if not re.fullmatch(r"[a-z0-9-]+", name):
        sys.exit(f"{name!r} is no name of a folder in {RESULTS}: letters, digits and hyphens")
    if not (run / "results.csv").exists():
        sys.exit(f"{run} has no results.csv: the run has not ended")
    folder = RESULTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in sorted(run.iterdir()):
        if file.name in SHOWN or file.suffix == ".png":
            shutil.copyfile(file, folder / file.name)
    rows = list(csv.DictReader((folder / "results.csv").open(encoding="utf-8")))
    if any(row.get("approach") == ELECTED for row in rows):
        (folder / "election.md").write_text(compared(rows), encoding="utf-8")


def compared(rows: list[dict[str, str]]) -> str:
    """Return the election beside the best single rule, situation by situation, as Markdown."""
    found: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for where, group in _by_situation(rows).items():
        for row in group:
            found[where][row["approach"]].append(100 * float(row["accuracy"]))
    attacked = {where: _attacked(group) for where, group in _by_situation(rows).items()}
    lines = [
        "# The election beside the best single rule",
        "",
        "Accuracy after the last round. The best rule is chosen with hindsight, line by line.",
        "Attacked: rounds in which malicious models were uploaded, of the approach with the fewest",
        "to that with the most; in the others the malicious clients uploaded honest ones.",
        "",
        "| data | partition | attack | attacked | best single rule | elected | difference |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    gaps = []
    for where, approaches in found.items():
        averages = {name: mean(values) for name, values in approaches.items()}
        single = {name: one for name, one in averages.items() if not name.startswith(MIXES)}
        best = max(single, key=single.__getitem__)
        gaps.append(averages[ELECTED] - single[best])
        values = f"{best} {single[best]:.1f} % | {averages[ELECTED]:.1f} % | {gaps[-1]:+.1f}"
        lines.append(f"| {' | '.join(where)} | {attacked[where]} | {values} |")
    ahead, near = sum(gap >= 0 for gap in gaps), sum(gap >= -1 for gap in gaps)
    verdict = (
        f"At least as good in {ahead} of {len(gaps)} lines, within one point in {near}; "
        f"the worst difference is {min(gaps):+.1f}, the mean {mean(gaps):+.1f}."
    )
    lines += ["", verdict, ""]
    return "\n".join(lines)


def _by_situation(
    rows: list[dict[str, str]],
) -> dict[tuple[str, ...], list[dict[str, str]]]:
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        share = "" if row["attack"] == "none" else f", {100 * float(row['malicious']):g} %"
        groups[row["dataset"], row["partition"], row["attack"] + share].append(row)
    return groups


def _attacked(rows: list[dict[str, str]]) -> str:
    """Return in how many rounds a situation was attacked: "10/10", or "2-8/10"."""
    if rows[0]["attack"] == "none":
        return "-"
    counts = {int(row["attacked_rounds"]) for row in rows if row.get("attacked_rounds")}
    if not counts:
        return "not counted"
    ends = "-".join(str(end) for end in sorted({min(counts), max(counts)}))
    return f"{ends}/{rows[0]['rounds']}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
