"""A run's folder: what it holds, and how it is written so that a kill loses nothing.

config.toml     the config, complete
run.json        the manifest: where ledgers and stores are, and the ledgers' heads at the end
simulation.secret   keys of the simulated clients and of the server
chain.db, store/    the evidence
places/N.json   where the contracts of the N-th ledger are, where its URL does not say it
cells/ID.json   one finished cell each; ID.db its chain, where each cell has its own
run.log         what Flower and the library logged
results.json, results.csv, table.md, table.tex, accuracy.png, accuracy.svg
figure-NAME.png, figure-NAME.svg    the config's figures
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from fedledger.effects import Effects
from fedledger.errors import AccountError, ConfigError, RunError
from fedledger.formats import first_wrong, parse_json
from fedledger.urls import is_masked, mask_url

from ...clients import SimulationKeys
from ...ledger_plugins import Head
from ..config.experiment import ExperimentConfig
from ..config.parsing import parse
from ..config.toml_files import parsed
from .urls import whole_url

__all__ = ["SECRET", "SERVER", "Evidence", "Manifest", "RunDirectory", "new_folder", "read_model"]

SECRET = "simulation.secret"  # noqa: S105 - a file's name
SERVER = "server"
_CONFIG = "config.toml"
_MANIFEST = "run.json"
_CELLS = "cells"
_Model = TypeVar("_Model", bound=BaseModel)
_FREE = ("engine", "jobs")  # no result depends on them


class Evidence(BaseModel):
    """A ledger with the store that belongs to it.

    Attributes:
        ledger: URL of the ledger, with {run} for the run's folder, and *** for what is secret.
        store: URL of the store, likewise.
        block: the ledger's newest block when the run ended, or None.
        hash: that block's hash, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ledger: str
    store: str
    block: int | None = None
    hash: str | None = None


class Manifest(BaseModel):
    """What a run's folder says about itself.

    Attributes:
        version: version of this form.
        name: the experiment's name.
        fedledger: version of the library.
        created: when the run began, ISO 8601 in UTC.
        config: hash of the config, without what no result depends on.
        evidence: ledgers and stores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    name: str
    fedledger: str
    created: str
    config: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """A run's folder, made or found.

    Attributes:
        path: the folder, absolute.
    """

    path: Path

    @classmethod
    def create(cls, config: ExperimentConfig, base: Path) -> "RunDirectory":
        """Make `base/NAME/TIME/` with the config and the manifest in it.

        Args:
            config: the config.
            base: folder of all outputs.

        Raises:
            RunError: the folder cannot be written.
        """
        now = datetime.now(UTC)
        path = new_folder(base, config.name, now)
        with _writing(path):
            (path / _CELLS).mkdir()
        run = cls(path)
        run.write(_CONFIG, _toml(config.to_toml()))
        pairs = dict.fromkeys(
            tuple(mask_url(one.replace("{cell}", cell.id)) for one in (config.ledger, config.store))
            for cell in config.matrix
        )
        run.write_manifest(
            Manifest(
                name=config.name,
                fedledger=version("fedledger"),
                created=now.isoformat(timespec="seconds"),
                config=_hash(config),
                evidence=tuple(Evidence(ledger=ledger, store=store) for ledger, store in pairs),
            )
        )
        return run

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Find a run's folder.

        Raises:
            RunError: it is no such folder.
        """
        try:
            run = cls(path.resolve())
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name with "\0"
            raise RunError(f"{path} is no run's folder: {error}") from error
        for name in (_CONFIG, _MANIFEST):
            if not (run.path / name).is_file():
                raise RunError(f"{path} is no run's folder: {name} is missing")
        return run

    @property
    def config(self) -> ExperimentConfig:
        """The config this run was started with; RunError when it cannot be read."""
        path = self.path / _CONFIG
        try:
            return parse(parsed(path), str(path))
        except ConfigError as error:
            raise RunError(f"{path} cannot be read: {error}") from error

    @property
    def manifest(self) -> Manifest:
        """The manifest; RunError when it cannot be read."""
        path = self.path / _MANIFEST
        return read_model(path, Manifest)

    @property
    def owner(self) -> str | None:
        """Address of the account that owns the run's tasks, or None when its key is not here.

        RunError when it is and cannot be read.
        """
        path = self.path / SECRET
        try:
            return SimulationKeys(path).account(SERVER).address if path.exists() else None
        except AccountError as error:
            raise RunError(str(error)) from error

    def check_same(self, config: ExperimentConfig) -> None:
        """Refuse to continue with another config; engine and jobs may differ, results do not.

        Raises:
            RunError: names the keys that differ, or the folder's config is not what it was.
        """
        begun = self.config
        old, new = _lasting(begun), _lasting(config)
        different = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        if different:
            raise RunError(
                f"{self.path} was started with another {' and '.join(different)}; "
                "leave out the config to continue with the run's own"
            )
        if _hash(begun) != self.manifest.config:
            raise RunError(
                f"{self.path / _CONFIG} was changed after the run began, and finished cells do not "
                "follow it: undo the change, or start a new run"
            )

    def note_places(self, ledger: str, places: Mapping[str, Any]) -> None:
        """Keep what an auditor elsewhere needs to open a ledger of the manifest, by its URL."""
        self.write_json(self._places(ledger), dict(places))

    def places(self, ledger: str) -> dict[str, Any] | None:
        """Return what was kept of a ledger, or None; RunError when it cannot be read."""
        path = self.path / self._places(ledger)
        if not path.exists():
            return None
        try:
            found = parse_json(_read(path))
        except ValueError as error:
            raise RunError(f"{path} cannot be read: it is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise RunError(f"{path} cannot be read: it is no JSON object")
        return found

    def _places(self, ledger: str) -> str:
        known = list(dict.fromkeys(entry.ledger for entry in self.manifest.evidence))
        named = mask_url(ledger)
        if named not in known:
            raise RunError(f"{self.path / _MANIFEST} does not name {named}")
        return f"places/{1 + known.index(named)}.json"

    def url(self, template: str, cell: str = "") -> str:
        """Return a URL with {run} and {cell} put in, percent-encoded.

        Raises:
            ConfigError: it had a secret that is not here (`run.urls`).
        """
        if is_masked(template):
            template = whole_url(template, (one.id for one in self.config.matrix))
        return template.replace("{run}", quote(str(self.path))).replace("{cell}", quote(cell))

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file whole or not at all, and durably.

        Raises:
            RunError: it cannot be written.
        """
        path = self.path / name
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        data = content.encode() if isinstance(content, str) else content
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
        return path

    def write_json(self, name: str, value: Any) -> Path:
        """Write a value as JSON, whole or not at all."""
        return self.write(name, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest."""
        self.write_json(_MANIFEST, manifest.model_dump(mode="json"))

    def record_heads(self, heads: Mapping[str, Head]) -> None:
        """Note the ledgers' heads, by the ledger's URL with {run}; of the others there is none."""
        manifest = self.manifest
        evidence = []
        for entry in manifest.evidence:
            head = heads.get(entry.ledger)
            noted = {"block": head and head.block, "hash": head and head.hash}
            evidence.append(entry.model_copy(update=noted))
        self.write_manifest(manifest.model_copy(update={"evidence": tuple(evidence)}))


def read_model(path: Path, model: type[_Model]) -> _Model:
    """Return what a file of a run's folder says, in JSON.

    Raises:
        RunError: it cannot be read, or says something else.
    """
    try:
        return model.model_validate_json(_read(path))
    except ValidationError as error:
        at, first = first_wrong(error)
        where = f"{at}: " if at else ""
        raise RunError(f"{path} cannot be read: {where}{first['msg']}") from error


def _read(path: Path) -> bytes:
    try:
        return Effects.real().disk.read_small(path)
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


def _lasting(config: ExperimentConfig) -> dict[str, Any]:
    """Return what results depend on."""
    return {key: value for key, value in config.to_toml().items() if key not in _FREE}


def _hash(config: ExperimentConfig) -> str:
    lasting = dict(sorted(_lasting(config).items()))
    return hashlib.sha256(_toml(lasting).encode()).hexdigest()


def _toml(document: Mapping[str, Any]) -> str:
    from tomli_w import dumps  # noqa: PLC0415 - an extra: whoever only audits a run needs it not

    return dumps(document)


def new_folder(base: Path, name: str, now: datetime) -> Path:
    """Make `base/NAME/TIME/`; of two runs in one second the second gets a suffix.

    Raises:
        RunError: it cannot be made.
    """
    parent = base.resolve() / name
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    with _writing(parent):
        for suffix in ("", *(f"-{number}" for number in range(2, 100))):
            path = parent / (stamp + suffix)
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return path
    raise RunError(f"{parent / stamp} and 98 more like it are there already")
