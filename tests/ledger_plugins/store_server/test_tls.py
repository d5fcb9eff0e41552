"""A store's server over HTTPS: its certificate is looked at, and wrong files are said."""

import pytest
from support.certificates import write_certificates
from support.store_server import WRITER, StoreServer

from fedledger.errors import ConfigError, StoreUnavailable
from fedledger.ledger_plugins import open_store
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.urls import mask_url


def test_a_server_with_a_certificate_of_its_own_authority(tmp_path):
    """Who names the authority writes and reads; who does not is told; plain HTTP is no answer."""
    write_certificates(tmp_path)
    options = ("--certificate", str(tmp_path / "server.pem"), "--key", str(tmp_path / "server.key"))
    data = b"over TLS" * 50_000
    with StoreServer(tmp_path, "--allow", WRITER.address, *options) as server:
        assert server.url.startswith("store+https://")
        url = f"{server.url}?ca={tmp_path}/ca.crt"
        assert mask_url(url) == url
        with open_store(url, account=WRITER) as store:
            assert store.put(data) == cid_of(data)
            assert b"".join(store.get_stream(cid_of(data))) == data
        with pytest.raises(StoreUnavailable, match="certificate"):
            open_store(server.url)
        with pytest.raises(StoreUnavailable):
            open_store(server.url.replace("https", "http"))
        for file, said in (("server.key", "no file of certificates"), ("none", "No such file")):
            with pytest.raises(ConfigError, match=said):
                open_store(f"{server.url}?ca={tmp_path}/{file}")


def test_files_that_are_no_certificate_are_said(tmp_path):
    """Before anybody is answered."""
    write_certificates(tmp_path)
    key = str(tmp_path / "server.key")
    for certificate in (str(tmp_path / "none"), key):
        options = ("--certificate", certificate, "--key", key)
        server = StoreServer(tmp_path, "--allow", WRITER.address, *options)
        with pytest.raises(AssertionError, match="no certificate with its key"):
            server.start()
        server.kill()
