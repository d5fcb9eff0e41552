"""The contracts' artifacts are what their sources compile to, and forge tests them.

Set FEDLEDGER_UPDATE_GAS=1 to write what forge measures into the gas table instead of comparing.
"""

import hashlib
import json
import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from fedledger.errors import ConfigError
from fedledger.ledger_plugins.contracts import abi, build
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, CHAIN_ONLY, artifact_of

CONTRACTS = Path(build.__file__).parent
SOLIDITY = CONTRACTS / "solidity"
PAGE = Path(__file__).parents[3] / "docs" / "contracts.md"
NAMES = BUILT_IN
FOLDERS = {name: CONTRACTS / re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in NAMES}
LIMITS = {
    ("TrainingTask", "submitUpdate"): 80_000,
    ("TrainingTask", "publishAggregate 30"): 300_000,
    ("Identities", ""): 120_000,
    ("Bonds", ""): 120_000,
    ("Beacon", "commit"): 150_000,
    ("Reports", "accuse"): 150_000,
    ("Reports", "decide"): 80_000,
    ("Reports", "pledge"): 120_000,
    ("ThresholdKeys", "acceptKeys"): 120_000,
    ("ThresholdKeys", "publishKeys"): 1 << 24,
}
TABLE = re.compile(r"(?<=<!-- gas -->\n).*(?=<!-- /gas -->)", re.DOTALL)


def artifact(contract):
    return json.loads((FOLDERS[contract] / build.ARTIFACT).read_text())


@pytest.mark.parametrize("contract", NAMES)
def test_artifacts_fit_their_sources(contract):
    """An artifact names its compiler, settings and every source; ours have not changed since."""
    built = artifact(contract)
    assert built["contract"] == contract
    assert built["compiler"].startswith(f"solc {build.SOLC}+")
    assert built["settings"] == build.SETTINGS
    assert re.fullmatch(r"0x([0-9a-f]{2})+", built["bytecode"])
    own = {f"fedledger/{path.relative_to(CONTRACTS)}": path for path in CONTRACTS.glob("*/*.sol")}
    folder = f"fedledger/{FOLDERS[contract].name}"
    assert {f"{folder}/{contract}.sol", f"{folder}/I{contract}.sol"} <= set(built["sources"])
    for name, digest in built["sources"].items():
        if name in own:
            assert digest == hashlib.sha256(own[name].read_bytes()).hexdigest(), name
        else:
            assert name.startswith("@openzeppelin/contracts/")


def test_every_contract_has_an_artifact():
    """There is an interface, an implementation and an artifact of each contract in its folder."""
    assert set(abi.contract_names()) == {*NAMES, *CHAIN_ONLY}
    for contract, folder in FOLDERS.items():
        assert (folder / f"{contract}.sol").exists()
        assert artifact_of(contract) == artifact(contract)
    interfaces = {path.stem: path.parent for path in CONTRACTS.glob("*/I[A-Z]*.sol")}
    assert interfaces.keys() == {f"I{name}" for name in (*NAMES, *CHAIN_ONLY)}
    for contract in CHAIN_ONLY:
        assert artifact_of(contract)["bytecode"] == "0x"


def test_names_of_errors_are_unique():
    """No two contracts declare the same error: revert data alone says whose error it is."""
    declared = [name for contract in NAMES for name in abi.names(contract, "error")]
    twice = {name for name in declared if declared.count(name) > 1}
    assert twice == {"Error", "Panic"}


@pytest.mark.parametrize("contract", NAMES)
def test_interfaces_are_in_the_abi(contract):
    """What an interface declares, the artifact's ABI has."""
    source = (FOLDERS[contract] / f"I{contract}.sol").read_text()
    declared = re.findall(r"^    (function|event|error) (\w+)\(", source, re.MULTILINE)
    assert declared
    for kind, name in declared:
        assert name in abi.names(contract, kind)


def test_versions_are_pinned_and_settings_agree():
    """Npm's packages have exact versions; forge compiles as build.py does."""
    package = json.loads((SOLIDITY / "package.json").read_text())
    wanted = {**package["devDependencies"], **package["optionalDependencies"]}
    assert wanted["solc"] == build.SOLC
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    lock = json.loads((SOLIDITY / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        assert lock[f"node_modules/{name}"]["version"] == version
    assert all(entry["integrity"] for name, entry in lock.items() if name)
    profile = tomllib.loads((CONTRACTS / "foundry.toml").read_text())["profile"]["default"]
    assert {
        "evmVersion": profile["evm_version"],
        "metadata": {
            "appendCBOR": profile["cbor_metadata"],
            "bytecodeHash": profile["bytecode_hash"],
        },
        "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
        "viaIR": profile["via_ir"],
    } == build.SETTINGS


def test_artifacts_are_what_their_sources_compile_to(contracts_workspace):
    """The pinned compiler makes the committed artifacts, byte for byte."""
    assert build.main([str(contracts_workspace.node_modules), "--check"]) == 0


COUNTER = {
    "ICounter.sol": """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

interface ICounter {
    event Counted(address indexed by, uint256 count);

    function count(uint256 task) external returns (uint256);
}
""",
    "Counter.sol": """// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ITrainingTask} from "fedledger/training_task/ITrainingTask.sol";
import {ICounter} from "./ICounter.sol";

contract Counter is ICounter {
    ITrainingTask private immutable TASKS;
    uint256 private _count;

    constructor(ITrainingTask tasks) {
        TASKS = tasks;
    }

    function count(uint256 task) external returns (uint256) {
        TASKS.getTask(task);
        _count = Math.max(_count, task) + 1;
        emit Counted(msg.sender, _count);
        return _count;
    }
}
""",
}


def test_a_contract_from_outside_is_built_in_its_folder(contracts_workspace, tmp_path):
    """A folder of somebody else's, with OpenZeppelin and our interface, gets its artifact."""
    for name, text in COUNTER.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "IOther.sol").write_text("// an interface that the contract has no code for")
    command = [str(contracts_workspace.node_modules), str(tmp_path)]
    assert build.main([*command, "--check"]) == 1
    assert not (tmp_path / build.ARTIFACT).exists()
    assert build.main(command) == build.main([*command, "--check"]) == 0
    built = json.loads((tmp_path / build.ARTIFACT).read_text())
    assert built["contract"] == "Counter"
    assert {one.get("name") for one in built["abi"]} == {None, "Counted", "count"}
    assert len(built["bytecode"]) > 100
    sources = built["sources"]
    interface = FOLDERS["TrainingTask"] / "ITrainingTask.sol"
    assert sources["Counter.sol"] == hashlib.sha256(COUNTER["Counter.sol"].encode()).hexdigest()
    assert {"ICounter.sol", "@openzeppelin/contracts/utils/math/Math.sol"} <= set(sources)
    assert (
        sources["fedledger/training_task/ITrainingTask.sol"]
        == artifact("TrainingTask")["sources"]["fedledger/training_task/ITrainingTask.sol"]
        == hashlib.sha256(interface.read_bytes()).hexdigest()
    )


def fake_modules(folder, script):
    """Write an npm package `solc` that answers with what `script` makes."""
    package = folder / "solc"
    package.mkdir(parents=True)
    (package / "index.js").write_text(script)
    return folder


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_another_compiler_is_refused(tmp_path):
    """A compiler of another version builds nothing, and neither does a source with a warning."""
    answer = 'exports.version = () => "{}";exports.compile = () => JSON.stringify({});'
    old = fake_modules(tmp_path / "old", answer.format("0.8.28+commit.1", "{}"))
    with pytest.raises(ConfigError, match=r"0\.8\.37 is wanted, 0\.8\.28\+commit\.1 was found"):
        build.build(old)
    warning = '{errors: [{formattedMessage: "Warning: unused"}]}'
    picky = fake_modules(tmp_path / "picky", answer.format("0.8.37+commit.1", warning))
    with pytest.raises(ConfigError, match=r"compile cleanly:\nWarning: unused"):
        build.build(picky)


def test_sources_are_formatted(contracts_workspace):
    """`forge fmt` changes nothing."""
    contracts_workspace.forge("fmt", "--check")


def test_forge_tests_pass_and_gas_is_what_the_table_says(contracts_workspace):
    """Unit, fuzz and invariant tests of the artifacts' bytecode; no call's gas has changed."""
    if os.environ.get("FEDLEDGER_UPDATE_GAS"):
        measured = contracts_workspace.folder / "solidity" / "gas"
        shutil.rmtree(measured, ignore_errors=True)
        said = contracts_workspace.forge("test", "--gas-snapshot-check=false", profile="test")
        for path in sorted(measured.glob("*.json")):
            (SOLIDITY / "gas").mkdir(exist_ok=True)
            (SOLIDITY / "gas" / path.name).write_text(path.read_text().rstrip() + "\n")
        PAGE.write_text(TABLE.sub(lambda _: gas_table(), PAGE.read_text()))
    else:
        said = contracts_workspace.forge("test", profile="test")
    summary = re.search(r"(\d+) tests passed, 0 failed, 0 skipped", said)
    assert summary, said
    assert int(summary[1]) >= 40, said


def gas():
    return {path.stem: json.loads(path.read_text()) for path in SOLIDITY.glob("gas/*.json")}


def gas_table():
    rows = [
        f"| {contract} | {call} | {int(used):,} |\n"
        for contract, calls in sorted(gas().items())
        for call, used in sorted(calls.items())
    ]
    return "| Contract | Call | Gas |\n|---|---|---:|\n" + "".join(rows)


def test_the_page_has_the_gas_table():
    """docs/contracts.md shows the committed numbers, and they keep their limits."""
    shown = TABLE.search(PAGE.read_text())
    assert shown
    assert shown[0] == gas_table()
    for (contract, call), limit in LIMITS.items():
        measured = [int(used) for name, used in gas()[contract].items() if name.startswith(call)]
        assert measured
        assert max(measured) <= limit
