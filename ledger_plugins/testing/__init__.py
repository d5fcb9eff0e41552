"""The conformance suite: what every ledger has to keep, clause by clause (L1 to L17).

A backend joins with a subclass that says how it is opened; pytest finds the tests in it:

    class TestMine(LedgerConformance):
        @pytest.fixture
        def ledger_factory(self, tmp_path):
            return lambda admin: open_ledger(f"mine://{tmp_path}/ledger", admin=admin)

The factory takes the address of the account that may mint. Called again after the ledger was
closed, it opens the same ledger with everything that was acknowledged. A ledger whose blocks can be
replaced says `reorganises = True` and how to bring it about (clause L8); for all others the suite
checks that blocks stay. A ledger that keeps files says in `footprint` what is in them: opened to
read only, it must not change them (clause L15); `nowhere` names a place where there is none.

`pytest.register_assert_rewrite("fedledger.ledger_plugins.testing")` before the import makes failed
assertions show their values.
"""

from .clauses import LedgerClauses
from .harness import LedgerFactory
from .history import HistoryClauses
from .reading import ReadingClauses
from .roles import RoleClauses
from .rollbacks import RollbackClauses

__all__ = ["LedgerConformance", "LedgerFactory"]


class LedgerConformance(
    LedgerClauses, RoleClauses, RollbackClauses, ReadingClauses, HistoryClauses
):
    """Tests of the clauses; subclass it and give it a `ledger_factory`."""
