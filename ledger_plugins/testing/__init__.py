"""The conformance suites: what every ledger (L1 to L17) and every store (S1 to S14) has to keep.

A ledger joins with a subclass that says how it is opened; pytest finds the tests in it:

    class TestMine(LedgerConformance):
        @pytest.fixture
        def ledger_factory(self, tmp_path):
            return lambda admin: open_ledger(f"mine://{tmp_path}/ledger", admin=admin)

The factory takes the address of the account that may mint. Called again after the ledger was
closed, it opens the same ledger with everything that was acknowledged. A ledger whose blocks can be
replaced says `reorganises = True` and how to bring it about (clause L8); for all others the suite
checks that blocks stay. A ledger that keeps files says in `footprint` what is in them: opened to
read only, it must not change them (clause L15); `nowhere` names a place where there is none.

A store joins in the same way, with what opens it by the opener's options:

    class TestMine(StoreConformance):
        @pytest.fixture
        def store_factory(self, tmp_path):
            return lambda **options: open_store(f"mine://{tmp_path}/store", **options)

What it cannot do it says in flags: `has_pins`, `deletes`, `bounded`, `shared`, `absent`.
`footprint` says what it keeps. `damage` and `hanging` do to its real backend what the suite
otherwise does to the object: put other bytes in the place of a content, let no call come back.

`pytest.register_assert_rewrite("fedledger.ledger_plugins.testing")` before the import makes failed
assertions show their values.
"""

from .clauses import LedgerClauses
from .harness import LedgerFactory
from .history import HistoryClauses
from .reading import ReadingClauses
from .roles import RoleClauses
from .rollbacks import RollbackClauses
from .store_contents import ContentClauses
from .store_harness import StoreFactory
from .store_keeping import KeepingClauses

__all__ = ["LedgerConformance", "LedgerFactory", "StoreConformance", "StoreFactory"]


class LedgerConformance(
    LedgerClauses, RoleClauses, RollbackClauses, ReadingClauses, HistoryClauses
):
    """Tests of the clauses; subclass it and give it a `ledger_factory`."""


class StoreConformance(ContentClauses, KeepingClauses):
    """Tests of the stores' clauses; subclass it and give it a `store_factory`."""
