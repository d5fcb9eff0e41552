"""What a rehearsal comes to, in tables and the words of the audits."""

from rich.console import Console
from rich.table import Table

from .memory import Memory
from .story import Audits, Story

__all__ = ["tell"]

_PAPERS = 1.0  # GB of a container: Bift, section VI
_WORDS = 200  # characters that are shown of a reason


def tell(out: Console, story: Story, memory: Memory, audits: Audits) -> int:
    """Print it, and return the exit status: 0 when the audit passed here and elsewhere."""
    out.print(_rounds(story), _links(story), _memory(memory), "")
    out.print("What the server said at its end:", style="bold")
    out.print(_end_of(audits.here))
    words = f"What an auditor says who has one file of {audits.size}, and "
    words += f"{story.federation.carried}:"
    out.print(words, style="bold")
    out.print(audits.elsewhere.rstrip())
    passed = "audit: passed" in audits.here and "audit: passed" in audits.elsewhere.splitlines()
    out.print(f"rehearsal: {'passed' if passed else 'FAILED'}", style="bold")
    return 0 if passed else 1


def _rounds(story: Story) -> Table:
    table = Table("round", "seconds", "counted", "dropped", "what happened", title="Rounds")
    names = {address: name for name, address in story.federation.addresses.items()}
    for evidence, seconds in zip(story.rounds, story.seconds, strict=True):
        update = evidence.phase("update")
        reasons = [
            f"{names.get(one.party or '', one.party)}: {one.detail}"[:_WORDS]
            for one in update.dropped
        ]
        cuts = [cut.said for cut in story.cuts if cut.round == evidence.round]
        counted = str(len(update.accepted))
        row = str(evidence.round), f"{seconds:.0f}", counted, "\n".join(reasons), "\n".join(cuts)
        table.add_row(*row)
    return table


def _links(story: Story) -> Table:
    table = Table("link of", "ms", "kB from it", "kB to it", "frames", "lost", title="Links")
    for place in story.federation.network.places:
        link = place.link
        late = f"{link.seconds * 1000:g}" + (
            f" to {(link.seconds + link.jitter) * 1000:g}" if link.jitter else ""
        )
        sent = f"{link.up / 1000:,.0f}", f"{link.down / 1000:,.0f}"
        share = f"{link.lost} ({100 * link.lost / max(link.frames, 1):.1f} %)"
        table.add_row(place.name, late, *sent, f"{link.frames:,}", share)
    return table


def _memory(memory: Memory) -> Table:
    title = f"Most memory at once, MB (the paper's containers have {_PAPERS:g} GB)"
    table = Table("machine", "all", "of which", title=title)
    for name, most in memory.most.items():
        parts = sorted(memory.parts[name].items(), key=lambda one: -one[1])
        said = ", ".join(f"{kind} {size / 1e6:.0f}" for kind, size in parts)
        table.add_row(name, f"{most / 1e6:.0f}", said)
    return table


def _end_of(said: str) -> str:
    """Return what came after the last line of the run's log: the audit's own words."""
    lines = said.rstrip().splitlines()
    last = max((number for number, line in enumerate(lines) if "INFO" in line), default=-1)
    return "\n".join(lines[last + 1 :])
