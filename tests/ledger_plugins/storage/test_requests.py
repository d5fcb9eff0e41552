"""What a writer signs for a store's server: EIP-712 as others compute it, and read strictly."""

import dataclasses

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st
from support.store_server import WRITER

from fedledger.errors import AccountError, ConfigError
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.ledger_plugins.storage.requests import StoreRequest, server_name

REQUEST = StoreRequest(
    account=WRITER.address,
    server="store.example:7100",
    action="put",
    content=cid_of(b"content"),
    size=7,
    issued=1_764_254_400_000,
)
HEADER = REQUEST.header(WRITER)
ABOUT = {"action": "put", "content": cid_of(b"content"), "size": 7}


def test_a_request_is_signed_as_eip_712_says():
    """An independent implementation comes to the same signature, in a domain no ledger has."""
    values = {key: value for key, value in dataclasses.asdict(REQUEST).items() if key != "account"}
    kinds = {"server": "string", "action": "string", "content": "string"}
    kinds |= {"size": "uint64", "issued": "uint64"}
    message = encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                    {"name": "salt", "type": "bytes32"},
                ],
                "StoreRequest": [{"name": name, "type": kind} for name, kind in kinds.items()],
            },
            "primaryType": "StoreRequest",
            "domain": {
                "name": "fedledger",
                "version": "1",
                "chainId": 0,
                "verifyingContract": "0x" + "00" * 20,
                "salt": bytes(32),
            },
            "message": values,
        }
    )
    signed = EthAccount.sign_message(message, b"\7" * 32)
    assert HEADER.endswith(f"signature={bytes(signed.signature).hex()}")
    assert StoreRequest.read(HEADER, **ABOUT) == REQUEST


@pytest.mark.parametrize("change", [{"action": "pin"}, {"content": cid_of(b"x")}, {"size": 8}])
def test_it_is_about_one_thing(change):
    """Read as a request about anything else it is nobody's."""
    with pytest.raises(AccountError, match="is not one of"):
        StoreRequest.read(HEADER, **ABOUT | change)


@given(st.text(), st.integers(0, 2**80))
def test_any_other_text_is_no_request(text, size):
    """Whatever stands in the header, and however large the content is said to be."""
    for header in (text, HEADER + text, text + HEADER, HEADER[: len(text)] + text):
        if header != HEADER or size != REQUEST.size:
            with pytest.raises(AccountError):
                StoreRequest.read(header, **ABOUT | {"size": size})


@given(st.integers(0, len(HEADER) - 1), st.characters(codec="ascii"))
def test_a_changed_character_is_noticed(at, character):
    """Of the signature, of the account, of the server or of the time."""
    changed = HEADER[:at] + character + HEADER[at + 1 :]
    if changed != HEADER:
        with pytest.raises(AccountError):
            StoreRequest.read(changed, **ABOUT)


def test_another_account_signs_in_its_own_name_only():
    """A request that names somebody else than signed it is refused."""
    other = Account.from_key(b"\10" * 32)
    with pytest.raises(AccountError, match=f"is not one of {WRITER.address}"):
        StoreRequest.read(REQUEST.header(other), **ABOUT)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Store.Example:7100", "store.example:7100"),
        ("[::1]:7100", "[::1]:7100"),
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("store.example", None),
        ("store.example:0", None),
        ("store.example:65536", None),
        ("store example:1", None),
        ("http://store.example:1", None),
        ("::1:7100", None),
        ("", None),
    ],
)
def test_a_servers_name_has_one_form(text, name):
    """Lower case, with its port."""
    if name is None:
        with pytest.raises(ConfigError):
            server_name(text)
    else:
        assert server_name(text) == name
