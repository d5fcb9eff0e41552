"""The stores' conformance suite (clauses S1 to S14) on the stores that are here."""

from pathlib import Path

import pytest

from fedledger.ledger_plugins import open_store

pytest.register_assert_rewrite("fedledger.ledger_plugins.testing")

from fedledger.ledger_plugins.testing import (  # noqa: E402 - after its registration
    StoreConformance,
    StoreFactory,
)


class TestFile(StoreConformance):
    """A store in a folder keeps the clauses."""

    @pytest.fixture
    def store_factory(self, tmp_path: Path) -> StoreFactory:
        return lambda **options: open_store(f"file://{tmp_path}/store", **options)

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path

    def footprint(self, store):  # noqa: ARG002 - the folder is known
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in self.path.rglob("*")
            if path.is_file()
        }

    def damage(self, store, cid, data):
        (store.folder / store.profile / cid).write_bytes(data)
