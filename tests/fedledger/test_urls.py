"""A key or password in a URL is shown by no text, error or log; other URLs stay as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.errors import ConfigError, LedgerUnavailable, StoreUnavailable
from fedledger.urls import HIDDEN, is_masked, mask_text, mask_url, secrets_of

KEY = "s3cr3t-k3y-0123456789"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        (f"ethereum+https://mainnet.infura.io/v3/{KEY}", "ethereum+https://mainnet.infura.io/***"),
        (f"https://mainnet.infura.io/v3/{KEY}", "https://mainnet.infura.io/***"),
        (
            f"ethereum+http://ann:{KEY}@node:8545?wait=5&deployment=a.json",
            "ethereum+http://***@node:8545?wait=5&deployment=a.json",
        ),
        (f"ethereum+https://eth.example/?apikey={KEY}", "ethereum+https://eth.example/?apikey=***"),
        (f"ethereum+https://eth.example?{KEY}", "ethereum+https://eth.example?***"),
        (f"ethereum+https://eth.example/#{KEY}", "ethereum+https://eth.example/#***"),
        (f"ETHEREUM+HTTPS://eth.example/{KEY}", "ETHEREUM+HTTPS://eth.example/***"),
        (f"ethereum+https:/eth.example/v3/{KEY}", "ethereum+https:***"),
        (f"ethereum+https:eth.example/v3/{KEY}", "ethereum+https:***"),
        (f"ethereum+wss://x/{KEY}", "ethereum+wss://x/***"),
        (f"s3://AKID:{KEY}@bucket/folder", "s3://***@bucket/folder"),
        (f"ethereum+https://a@b:{KEY}@host/x", "ethereum+https://***@host/***"),
        (f"ethereum+https://[::1]:8545/{KEY}", "ethereum+https://[::1]:8545/***"),
    ],
)
def test_what_is_secret_is_left_out(url, masked):
    """Users, passwords, paths and foreign settings of URLs over HTTP; users of all others."""
    assert mask_url(url) == masked
    assert KEY in " ".join(secrets_of(url))
    for error in (ConfigError, LedgerUnavailable, StoreUnavailable):
        assert KEY not in str(error(f"--set 'ledger={url}': cannot be used"))
        assert KEY not in repr(error(f"{url}: cannot be used"))


@pytest.mark.parametrize(
    "url",
    [
        "local:///data/chain.db",
        "local://{run}/cells/{cell}.db",
        "file:///data/a:b@c/store",
        "local+http://127.0.0.1:7001",
        "local+http://127.0.0.1:7001/",
        "ethereum+http://127.0.0.1:8545",
        "ethereum+http://127.0.0.1:8545?confirmations=3&deployment=/a/b.json&max_fee_gwei=1",
        "ethereum+ipc:///run/node.ipc?wait=3",
        "ethereum+tester://{cell}",
        "no URL at all",
        "C:\\data\\chain.db",
        "",
    ],
)
def test_a_url_without_secrets_stays_as_it_is(url):
    """Letter by letter, so that it still opens what it names."""
    assert mask_url(url) == mask_text(url) == url
    assert not secrets_of(url)
    assert not is_masked(url)


def test_web_pages_keep_their_paths_in_texts():
    """What a user should look up can be read; a password in it cannot."""
    assert mask_text("see https://docs.example/a/b?c=d.") == "see https://docs.example/a/b?c=d."
    assert mask_text(f"at https://ann:{KEY}@x/y") == f"at https://{HIDDEN}@x/y"
    assert mask_text(f"no project {KEY}", [KEY]) == f"no project {HIDDEN}"


SECRETS = st.text(alphabet="abcXYZ0189-_~.", min_size=8, max_size=30)


@examples(300)
@given(
    secret=SECRETS,
    scheme=st.sampled_from(["ethereum+http", "ethereum+https", "https", "x+wss"]),
    form=st.sampled_from(
        ["u:{}@h", "{}@h/p", "h/{}", "h/a/{}/b", "h:1/{}?wait=3", "h?key={}", "h?wait=3&k={}#z"]
    ),
)
def test_masking_twice_is_masking_once(secret, scheme, form):
    """Wherever it stands the secret goes, and what is masked stays as it is."""
    url = f"{scheme}://{form.format(secret)}"
    masked = mask_url(url)
    assert secret not in masked
    assert is_masked(masked)
    assert mask_url(masked) == masked
    assert secret not in mask_text(f"it says: {secret}", secrets_of(url))
