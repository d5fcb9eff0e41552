"""The URLs of a run's ledger and store, when there is a key or a password in them.

A run's folder holds URLs without what is secret in them. Who resumes or audits the run gives the
whole URL again, in an environment variable; it has to be the one that the folder names.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from fedledger.errors import ConfigError
from fedledger.urls import is_masked, mask_url

from ..config.experiment import ExperimentConfig

__all__ = ["VARIABLES", "given", "whole_url"]

VARIABLES = ("FEDLEDGER_LEDGER", "FEDLEDGER_STORE")
"""Environment variables with the whole URLs of a run's ledger and store."""


def whole_url(url: str, cells: Iterable[str] = ()) -> str:
    """Return the URL that was masked as `url`; one without secrets is returned as it is.

    Args:
        url: as a run's folder has it.
        cells: ids of cells that may stand for {cell}.

    Raises:
        ConfigError: it was not given, or another one was.
    """
    if not is_masked(url):
        return url
    names = ("", *cells)
    for variable in VARIABLES:
        said = os.environ.get(variable, "")
        for one in (said.replace("{cell}", name) if name else said for name in names):
            if not is_masked(one) and mask_url(one) == url:
                return one
    raise ConfigError(
        f"{url} had a key or a password where *** stands, which no run's folder keeps: give the "
        f"whole URL in the environment, {VARIABLES[0]}=URL (of a store {VARIABLES[1]}=URL)"
    )


@contextmanager
def given(config: ExperimentConfig) -> Iterator[None]:
    """Put what is secret in a config's URLs where `whole_url` finds it, in processes below too."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    for name, url in zip(VARIABLES, (config.ledger, config.store), strict=True):
        if mask_url(url) != url and not is_masked(url):
            os.environ[name] = url
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
