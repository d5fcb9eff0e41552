"""What is compiled of the kernels, and what that is made of: the modules that need numba.

Numba is an extra and takes a second to load, so who computes imports them, at the first call: a
device, which only has to know a rule's name, needs none of it.
"""

from fedledger.errors import NotInstalled

try:
    import numba  # noqa: F401 - asked for here, for all modules below
except ImportError as error:  # not there, or made for another NumPy
    raise NotInstalled(
        f"the aggregation rules compute with numba, which cannot be loaded here ({error}): "
        "pip install 'fedledger[server]'"
    ) from error
