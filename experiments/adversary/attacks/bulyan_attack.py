"""The attack on Bulyan: that on Krum."""

from dataclasses import dataclass

from .krum_attack import KrumAttack

__all__ = ["BulyanAttack"]


@dataclass(frozen=True)
class BulyanAttack(KrumAttack):
    """Upload the Krum attack's models, most of which pass Bulyan's first step, which is Krum.

        w'_1 = w_Re - λ·s, the other malicious models within ε of it; λ as in `KrumAttack`

    Source: Bift, section VI-B, item 3, after Fang et al., USENIX Security 2020. Parameters are
    those of `KrumAttack`. What differs is the rule under attack, hence a name of its own.
    """
