"""A run whose ledger's URL has a key: nothing shows or keeps it, and it is resumed and audited."""

import logging
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from support.anvil import Anvil
from support.proxy import Proxy

from fedledger.errors import ConfigError
from fedledger.experiments import load_config, run_experiment
from fedledger.experiments.report.audit import audit_run
from fedledger.ledger_plugins.ethereum import deploy

from ..small import small

KEY = "s3cr3t-pr0j3ct-k3y"
PASSWORD = "p4ssw0rd"  # noqa: S105 - looked for in what a run leaves behind


def shown(folder):
    """Return the files below a folder in which the key or the password stands."""
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    return [
        path for path in files if any(one.encode() in path.read_bytes() for one in (KEY, PASSWORD))
    ]


def test_a_key_in_the_url_is_kept_nowhere(tmp_path, monkeypatch, caplog, capfd):
    """Not in a file, log or output; the run resumes and audits with the URL from outside."""
    for name in ("urllib3", "fedledger", "flwr"):
        caplog.set_level(logging.DEBUG, name)
    monkeypatch.delenv("FEDLEDGER_LEDGER", raising=False)
    with Anvil(tmp_path) as node, Proxy(node.port) as proxy:
        place = f"user:{PASSWORD}@127.0.0.1:{proxy.port}/v3/{KEY}"
        url = f"ethereum+http://{place}?deployment={quote(str(tmp_path / 'd.json'))}&wait=20"
        deploy(url)
        out = tmp_path / "out"
        small(tmp_path, "attacks=['none']", "malicious=[]")
        changes = ["attacks=['none']", "malicious=[]", f"ledger={url}", "rounds=1"]
        done = run_experiment(
            load_config(tmp_path / "small.toml", overrides=changes), out=out, progress=True
        )
        assert done.passed, done.audit.verdict
        assert KEY not in repr(done.config)
        folder = done.directory
        assert "ethereum+http://***@127.0.0.1" in (folder / "config.toml").read_text()
        with pytest.raises(ConfigError, match="FEDLEDGER_LEDGER=URL"):
            run_experiment(load_config(folder / "config.toml"), resume=folder, progress=False)
        audited = subprocess.run(
            [sys.executable, "-c", "from fedledger.cli import main; main()", "audit", folder],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert audited.returncode == 2
        assert "FEDLEDGER_LEDGER=URL" in audited.stdout + audited.stderr
        monkeypatch.setenv("FEDLEDGER_LEDGER", url)
        assert audit_run(folder).passed
        next((folder / "cells").glob("*.json")).unlink()
        again = run_experiment(load_config(folder / "config.toml"), resume=folder, progress=False)
        assert again.passed, again.audit.verdict
        monkeypatch.setenv("FEDLEDGER_LEDGER", url.replace("127.0.0.1", "localhost"))
        with pytest.raises(ConfigError, match="FEDLEDGER_LEDGER=URL"):
            run_experiment(load_config(folder / "config.toml"), resume=folder, progress=False)
        monkeypatch.setenv("FEDLEDGER_LEDGER", url)
        proxy.close()
        assert not audit_run(folder).passed
    assert shown(tmp_path) == []
    said = capfd.readouterr()
    for text in (caplog.text, said.out, said.err, audited.stdout, audited.stderr):
        assert KEY not in text
        assert PASSWORD not in text
    assert any("urllib3" in record.name for record in caplog.records), "its log was looked at"
