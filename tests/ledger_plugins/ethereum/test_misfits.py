"""What does not fit is refused by name, and a deployment on Ethereum stays as it was."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from support.anvil import Anvil
from support.deployments import BOTH, constructor, head, install, state, used

from fedledger.effects.real import SystemDisk
from fedledger.errors import CallError, ConfigError, LedgerUnavailable
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts.registry import BUILT_IN
from fedledger.ledger_plugins.ethereum import Deployment, deploy
from fedledger.ledger_plugins.ethereum.deployment.places import DeploymentFile

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "faucet" / "faucet"


@pytest.fixture
def admin():
    return Account.create()


# Creation code that reverts; that makes one byte, none, or its own address.
_REVERTS, _MAKES, _MAKES_NONE, _MAKES_ITSELF = (
    "0x60006000fd",
    "0x60016000f3",
    "0x60006000f3",
    "0x3060005260206000f3",
)


@pytest.mark.parametrize(
    ("about", "error", "says"),
    [
        ({"abi": constructor(price="uint256")}, ConfigError, 'nobody knows its argument.*"price"'),
        ({"abi": constructor(minters="uint256")}, ConfigError, "its constructor: "),
        ({"bytecode": None}, ConfigError, "the artifact of Odd has no bytecode"),
        ({"bytecode": "0x__lib__"}, ConfigError, "bytecode that is no hex"),
        ({"holds": ("KING_ROLE",)}, ConfigError, "'KING_ROLE', which is no role .*MINTER_ROLE"),
        ({"bytecode": _REVERTS}, LedgerUnavailable, "Odd c.* be created"),
        ({"bytecode": _MAKES_NONE}, LedgerUnavailable, "Odd makes no code"),
        ({"bytecode": _MAKES_ITSELF}, LedgerUnavailable, "is not that of Odd"),
    ],
)
def test_a_contract_that_cannot_be_is_refused_by_name(  # noqa: PLR0917 - fixtures
    monkeypatch, tmp_path, chain_url, admin, about, error, says
):
    """What nobody can create leaves the deployment as it was, and in use."""
    install(monkeypatch, tmp_path, "Odd", **about)
    first = deploy(chain_url, admin=admin.address)
    used(chain_url, admin)
    before = state(chain_url, admin)
    with pytest.raises(error, match=says):
        deploy(chain_url, account=admin, contracts=["Odd"])
    assert state(chain_url, admin) == before
    assert deploy(chain_url).deployment == first.deployment


def test_nothing_is_left_of_a_first_deployment_that_failed(
    monkeypatch, tmp_path, node_url, deployment_file
):
    """All that was to be created together is given up; the next run begins anew."""
    install(monkeypatch, tmp_path, "Odd", bytecode=_REVERTS)
    with pytest.raises(LedgerUnavailable, match=r"Odd c.* be created"):
        deploy(node_url, contracts=["Odd"])
    assert not deployment_file.exists()
    assert list(deploy(node_url).granted) == list(BUILT_IN)


def test_constructors_are_told_of_the_others(monkeypatch, tmp_path, chain_url, admin):
    """Addresses by type; the administrator, minters and proposers by name."""
    token = {"name": "t", "type": "address", "internalType": "contract IStakeToken"}
    abi = constructor(admin="address", minters="address[]", proposers="address[]")
    abi[0]["inputs"].append(token)
    install(monkeypatch, tmp_path, "Odd", abi=abi, bytecode=_MAKES)
    deploy(chain_url, admin=admin.address)
    done = deploy(chain_url, account=admin, contracts=["Odd"], proposers=[]).deployment
    said = done.contracts["Odd"].arguments
    for address in (admin.address, done.addresses["StakeToken"], done.addresses["TrainingTask"]):
        assert address[2:].lower() in said


def test_what_was_fixed_with_the_token_is_not_changed(chain_url, admin):
    """Another administrator, or a proposer that is none, is an error; the same again is not."""
    friend, other = Account.create().address, Account.create().address
    options = {"admin": admin.address, "proposers": [friend]}
    first = deploy(chain_url, **options)
    assert deploy(chain_url, **options).deployment == first.deployment
    with pytest.raises(ConfigError, match="have the admin"):
        deploy(chain_url, admin=other)
    with pytest.raises(ConfigError, match=f"{other} may not propose"):
        deploy(chain_url, proposers=[friend, other])
    with pytest.raises(CallError, match="unknown contract 'Fawcet'"):
        deploy(chain_url, contracts=["Fawcet"])
    with pytest.raises(CallError, match="unknown contract 'TrainingTask@1'"):
        deploy(chain_url, contracts=["TrainingTask@1"])


OTHER = "ab" * 32


def _changed(contract, **change):
    def alter(said):
        said["contracts"][contract] |= change

    return alter


def _renamed(said):
    said["contracts"]["Fawcet"] = said["contracts"].pop("TrainingTask")


def _without_token(said):
    said["contracts"].pop("StakeToken")


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        (lambda said: said.update(version=1), "form 1, .* reads form 2: .*--deployment"),
        (lambda said: said.pop("version"), "form None"),
        (lambda said: said.pop("admin"), "is no deployment: admin: "),
        (lambda said: said.update(more=1), "is no deployment: more: "),
        (lambda said: said.update(chain_id=5), r"about chain 5, but the node .* is on chain 31337"),
        (lambda said: said.update(genesis=f"0x{OTHER}"), "about another chain 31337: .* --anew"),
        (_renamed, "contract Fawcet is not installed here"),
        (_without_token, "there is no StakeToken"),
        (_changed("TrainingTask", abi=OTHER), "TrainingTask, version 1, has another ABI .*ababab"),
        (_changed("StakeToken", code=OTHER), "StakeToken, version 1, was compiled from other sou"),
        (_changed("StakeToken", address="0x12"), "is no deployment: contracts.StakeToken.address"),
        (_changed("StakeToken", address="0x" + "11" * 20), "no contract at 0x1111"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_stays(  # noqa: PLR0917 - fixtures
    faucet, node_url, deployment_file, admin, alter, says
):
    """By name, with what to do; nothing is created, and the file stays as it is."""
    deploy(node_url, admin=admin.address)
    newest, said = head(node_url), json.loads(deployment_file.read_text())
    good = deployment_file.read_bytes()
    alter(said)
    deployment_file.write_text(json.dumps(said))
    bad = deployment_file.read_bytes()
    for attempt in (
        lambda: open_ledger(node_url),
        lambda: deploy(node_url, account=admin, contracts=BOTH),
    ):
        with pytest.raises((ConfigError, LedgerUnavailable), match=says):
            attempt()
    with pytest.raises(
        (ConfigError, LedgerUnavailable), match=says.removesuffix(" --anew")
    ) as told:
        open_ledger(node_url, read_only=True)
    assert "--anew" not in str(told.value), "who only reads is not told to deploy"
    assert deployment_file.read_bytes() == bad
    assert {path.name for path in deployment_file.parent.iterdir()} <= {
        deployment_file.name,
        "site",
        "deployment.outbox",
        "deployment.outbox.lock",
    }
    deployment_file.write_bytes(good)
    assert head(node_url) == newest


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_file_is_not_overwritten(node_url, deployment_file, content):
    """Not even by --anew, which is about chains that are no more."""
    deployment_file.write_bytes(content)
    for anew in (False, True):
        with pytest.raises(ConfigError, match=r"is (no|a) deployment"):
            deploy(node_url, anew=anew)
    assert deployment_file.read_bytes() == content


def test_two_do_not_deploy_to_one_file_at_once(node_url, deployment_file):
    """The second one is told; one that was killed keeps nobody away, and nothing stays behind."""
    deploy(node_url)
    before = deployment_file.read_bytes()
    with (
        DeploymentFile(deployment_file, SystemDisk()).alone(),
        pytest.raises(ConfigError, match="at work in"),
    ):
        deploy(node_url, anew=True)
    assert deploy(node_url).granted == {}
    assert [path.name for path in deployment_file.parent.iterdir()] == [deployment_file.name]
    assert deployment_file.read_bytes() == before


def test_anew_never_replaces_a_token(node_url, deployment_file, admin, tmp_path):
    """Contracts that are on the chain stay; another file may have others."""
    deploy(node_url, admin=admin.address)
    before = deployment_file.read_bytes()
    with pytest.raises(ConfigError, match=r"fits the chain .* stay: .* another file with --depl"):
        deploy(node_url, admin=admin.address, anew=True)
    assert deployment_file.read_bytes() == before
    other = deploy(node_url.replace("deployment.json", "other.json"), anew=True)
    assert other.path == tmp_path / "other.json"
    assert other.deployment.addresses != Deployment.load(deployment_file, SystemDisk()).addresses
    said = json.loads(before) | {"chain_id": 1}
    deployment_file.write_text(json.dumps(said))
    with pytest.raises(ConfigError, match="about chain 1, but the node"):
        deploy(node_url, anew=True)


def test_anew_puts_aside_what_is_about_a_chain_that_is_no_more(tmp_path, admin):
    """Only on a development chain, and with the same first block as well: the node began anew."""
    always = ("--timestamp", "1700000000")
    with Anvil(tmp_path, *always) as node:
        url = f"ethereum+{node.url}?deployment={quote(str(tmp_path / 'chain.json'))}"
        first = deploy(url, account=admin).deployment
        again = (*always, "--chain-id", "4242")
    with Anvil(tmp_path, *always, port=node.port):
        for attempt in (lambda: open_ledger(url), lambda: deploy(url)):
            with pytest.raises(
                LedgerUnavailable, match=r"no contract at .*fedledger deploy --anew"
            ):
                attempt()
        second = deploy(url, anew=True)
        assert list(second.granted) == list(BUILT_IN)
        assert Deployment.load(tmp_path / "chain.json.old", SystemDisk()) == first
        assert second.deployment.genesis == first.genesis
    other = url.replace("chain.json", "other.json")
    with Anvil(tmp_path, *again, port=node.port) as node:
        node.rpc("anvil_setBalance", admin.address, hex(10**18))
        deploy(other, account=admin)
    before = (tmp_path / "other.json").read_bytes()
    with Anvil(tmp_path, *again, port=node.port):
        with pytest.raises(LedgerUnavailable, match="Ask a node that has the whole chain"):
            deploy(other, account=admin)
        with pytest.raises(
            ConfigError, match=r"chain 4242, which is no development chain: .* stay"
        ):
            deploy(other, account=admin, anew=True)
    assert (tmp_path / "other.json").read_bytes() == before
