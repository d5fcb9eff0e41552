"""The URLs of Ethereum nodes, what calls may cost, and who is refused."""

import subprocess
import sys

import pytest

from fedledger.errors import (
    AccountError,
    CallError,
    ConfigError,
    LedgerUnavailable,
    UnknownNameError,
)
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.ethereum.sending.developers import (
    DEVELOPMENT_CHAINS,
    PUBLIC_ACCOUNTS,
    refuse_public_account,
)
from fedledger.ledger_plugins.ethereum.sending.fees import (
    check_contract,
    fee_caps,
    gas_limit,
)
from fedledger.ledger_plugins.ethereum.url import parse_url


def test_urls_say_which_node_and_how():
    """Scheme, place and settings are read; messages show neither passwords nor paths."""
    settings = parse_url(
        "ethereum+https://user:secret@node.example:8545/v3/key?confirmations=3&max_fee_gwei=1.5"
        "&deployment=a%20file.json&timeout=2.5&wait=7"
    )
    assert settings.address == "https://user:secret@node.example:8545/v3/key"
    assert settings.where == "https://node.example:8545"
    assert (settings.confirmations, settings.max_fee) == (3, 1_500_000_000)
    assert (str(settings.deployment), settings.timeout, settings.wait) == ("a file.json", 2.5, 7.0)
    assert parse_url("ethereum+ipc:///run/node.ipc").address == "/run/node.ipc"
    assert parse_url("ethereum+tester://a/b").address == "a/b"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ethereum://127.0.0.1", "no Ethereum node"),
        ("ethereum+ftp://127.0.0.1", "no Ethereum node"),
        ("ethereum+http://", "names no host"),
        ("ethereum+http://host:port", "port"),
        ("ethereum+ipc://node.ipc", "three slashes"),
        ("ethereum+http://host?confirmation=2", "did you mean 'confirmations'"),
        ("ethereum+http://host?confirmations=0", "above 0"),
        ("ethereum+http://host?confirmations=1.5", "from 1 to 1000"),
        ("ethereum+http://host?timeout=-1", "above 0"),
        ("ethereum+http://host?timeout=nan", "above 0"),
        ("ethereum+http://host?wait=1&wait=2", "twice"),
        ("ethereum+http://host?wait", "name=value"),
        ("ethereum+http://host#x", "#"),
    ],
)
def test_wrong_urls_are_explained(url, says):
    """A URL that cannot be right says what would be."""
    with pytest.raises((ConfigError, UnknownNameError), match=says):
        parse_url(url)


def test_a_missing_package_says_what_to_install():
    """Without rlp, opening says `pip install 'fedledger[ethereum]'`."""
    script = (
        "import sys; sys.modules['rlp'] = None\n"
        "from fedledger.ledger_plugins import open_ledger\n"
        "open_ledger('ethereum+http://127.0.0.1:1')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode
    assert "pip install 'fedledger[ethereum]'" in done.stderr


@pytest.mark.parametrize("read_only", [False, True])
def test_without_py_evm_the_tester_says_what_to_install(monkeypatch, read_only):
    """Who makes the chain in this process and who only reads it hear which package is missing."""
    monkeypatch.setitem(sys.modules, "fedledger.ledger_plugins.ethereum.rpc.tester", None)
    with pytest.raises(ConfigError, match=r"pip install 'eth-tester\[py-evm\]'"):
        open_ledger("ethereum+tester://none", read_only=read_only)


def test_public_keys_sign_on_development_chains_only():
    """Keys that everybody knows are refused where value could be lost."""
    known = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"  # anvil prints it when it starts
    assert known in PUBLIC_ACCOUNTS
    assert len(PUBLIC_ACCOUNTS) == 30
    for chain in DEVELOPMENT_CHAINS:
        refuse_public_account(known, chain)
    with pytest.raises(AccountError, match="development account"):
        refuse_public_account(known, 1)


def test_fee_caps_stay_below_the_cap():
    """The fee cap is twice the base fee and the tip, never above the user's; 0 where all is 0."""
    assert fee_caps(10, 3, None, "x") == (23, 3)
    assert fee_caps(10, 3, 12, "x") == (12, 2)
    assert fee_caps(10, 3, 10, "x") == (10, 0)
    assert fee_caps(0, 0, None, "x") == (0, 0)
    with pytest.raises(LedgerUnavailable, match="above the cap"):
        fee_caps(11, 3, 10, "x")


def test_gas_limits_follow_from_the_arguments():
    """A list costs by its length, an unknown one by the longest; all stay below EIP-7825's cap."""
    short = gas_limit("TrainingTask", "payRewards", (1, 1, ["0x" + "11" * 20]))
    assert short < gas_limit("TrainingTask", "payRewards") <= 1 << 24
    assert gas_limit("TrainingTask", "submitUpdate") < 500_000
    with pytest.raises(CallError, match="deployed are StakeToken"):
        check_contract("TrainingTask", None, {"StakeToken": "0x"})
