"""What an experiment needs beyond the base installation, asked for before it begins."""

from fedledger.registry import check_installed

__all__ = ["check_needs"]

_MODULES = ("apsw", "matplotlib", "numba", "sklearn", "tomli_w", "torch")


def check_needs() -> None:
    """Make sure that an experiment can run to its end, with its plots and its audit.

    Raises:
        ConfigError: names what is not there, and what to install.
    """
    check_installed("an experiment", "experiments,torch", *_MODULES)
