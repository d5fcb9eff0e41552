"""What malicious clients do, by name: `load_attack(Choice(name="label_flip"))`.

An attack is one file with a class derived from one of the forms in `base`, and one line in
`ATTACKS`. The class takes the attack's parameters as keyword arguments and checks them.
"""

from fedledger.registry import Registry

from ...config.choices import Choice, check_parameters
from .base import Attack, DataPoisoning, Knowledge, ModelAttack

__all__ = [
    "ATTACKS",
    "NO_ATTACK",
    "Attack",
    "DataPoisoning",
    "Knowledge",
    "ModelAttack",
    "load_attack",
]

NO_ATTACK = "none"

ATTACKS = Registry(
    "attack",
    {
        NO_ATTACK: f"{__name__}.base:NoAttack",
        "alie": f"{__name__}.alie:Alie",
        "bulyan_attack": f"{__name__}.bulyan_attack:BulyanAttack",
        "gaussian": f"{__name__}.gaussian:Gaussian",
        "ipm": f"{__name__}.ipm:InnerProductManipulation",
        "krum_attack": f"{__name__}.krum_attack:KrumAttack",
        "label_flip": f"{__name__}.label_flip:LabelFlip",
        "min_max": f"{__name__}.min_max:MinMax",
        "min_sum": f"{__name__}.min_sum:MinSum",
        "sign_flip": f"{__name__}.sign_flip:SignFlip",
        "trimmed_mean_attack": f"{__name__}.trimmed_mean_attack:TrimmedMeanAttack",
    },
    group="fedledger.attacks",
)
"""Name to a class derived from `Attack`."""


def load_attack(choice: Choice) -> Attack:
    """Return an attack with its parameters set.

    Raises:
        UnknownNameError: nobody registered the attack, or it takes no such parameter.
        ConfigError: a parameter is missing or does not fit.
    """
    attack: Attack = check_parameters(choice, ATTACKS, 0)(**choice.parameters)
    return attack
