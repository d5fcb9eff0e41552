"""Compile contracts: from a folder's `I<Name>.sol` and `<Name>.sol` to its `artifact.json`.

Needed only by whoever changes or adds a contract; the artifacts are committed and users never
compile. NODE_MODULES holds what `solidity/package-lock.json` pins (`npm ci --ignore-scripts` beside
a copy of it and of `package.json`):

    python -m fedledger.ledger_plugins.contracts.build NODE_MODULES [FOLDER ...]

Without a folder the built-in contracts are compiled. A source imports what lies beside it by a
relative path, npm packages by their names, and the built-in contracts and their library as
`fedledger/training_task/ITrainingTask.sol` and `fedledger/solidity/Utf8.sol`.

The same sources give the same bytes: compiler and settings are fixed, and the bytecode carries no
hash of metadata. `--check` writes nothing and fails when an artifact differs.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedledger.errors import ConfigError

__all__ = ["ARTIFACT", "SETTINGS", "SOLC", "build", "main"]

ARTIFACT = "artifact.json"
"""The artifact's file in its contract's folder."""

SOLC = "0.8.37"
"""The compiler's version; another one is refused."""

SETTINGS: dict[str, Any] = {
    "evmVersion": "shanghai",  # the newest that every chain in use executes, ganache too
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "optimizer": {"enabled": True, "runs": 10_000},
    "viaIR": True,  # publishAggregate has more variables than the stack reaches
}
"""The compiler's settings, in the words of its JSON input."""

_HERE = Path(__file__).parent
_PREFIX = "fedledger/"
_Roots = Sequence[tuple[str, Path]]
"""How a source's name begins, and the folder that it is then in; the npm packages are the last."""

_COMPILE = """
const { existsSync, readFileSync } = require("fs");
const { roots, main, input } = JSON.parse(readFileSync(0, "utf8"));
const solc = require(roots.at(-1)[1] + "/solc");
const find = (name) => {
  const path = roots
    .filter(([prefix]) => name.startsWith(prefix))
    .map(([prefix, folder]) => folder + "/" + name.slice(prefix.length))
    .find(existsSync);
  return path ? { contents: readFileSync(path, "utf8") } : { error: "there is no such file" };
};
input.sources = { [main]: { content: find(main).contents } };
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
process.stdout.write(JSON.stringify({ version: solc.version(), output }));
"""


def build(node_modules: Path, folders: Sequence[Path] = ()) -> dict[Path, str]:
    """Compile contracts.

    Args:
        node_modules: folder that holds the npm packages `solc` and `@openzeppelin/contracts`.
        folders: each holds one contract: `I<Name>.sol` and `<Name>.sol`, and what they are made of,
            or an interface alone (default: the built-in contracts).

    Returns:
        The path of each artifact and the text it should have: JSON with the contract's name, its
        ABI, its creation code ("bytecode"), the compiler, its settings, and the SHA-256 of every
        source that it was compiled from ("sources").

    Raises:
        ConfigError: a folder holds no contract or several, node or solc cannot be run or has
            another version, a source does not compile cleanly, or a contract has an overloaded name
            or an indexed event argument that cannot be read back from its topic.
    """
    folders = folders or sorted(path.parent for path in _HERE.glob("*/I*.sol"))
    return {folder / ARTIFACT: _artifact(folder, node_modules) for folder in folders}


def _artifact(folder: Path, node_modules: Path) -> str:
    contract = _name(folder)
    built_in = folder.resolve().parent == _HERE.resolve()
    # An interface without a contract is one of the embedded chain alone: it has no bytecode.
    source = contract if (folder / f"{contract}.sol").exists() else f"I{contract}"
    main = f"{_PREFIX}{folder.name}/{source}.sol" if built_in else f"{source}.sol"
    roots = [(_PREFIX, _HERE), ("", node_modules.resolve())]
    if not built_in:
        roots.insert(1, ("", folder.resolve()))
    version, output = _compile(main, source, roots)
    compiled = output["contracts"][main][source]
    _check(contract, compiled["abi"])
    artifact = {
        "contract": contract,
        "abi": compiled["abi"],
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "compiler": f"solc {version}",
        "settings": SETTINGS,
        "sources": {name: _hash(name, roots) for name in sorted(output["sources"])},
    }
    return json.dumps(artifact, indent=1, ensure_ascii=True) + "\n"


def _name(folder: Path) -> str:
    """Return the name of the contract in a folder: of the one that has an interface."""
    named = [path.stem[1:] for path in folder.glob("I*.sol")]
    whole = sorted(name for name in named if (folder / f"{name}.sol").exists())
    found = whole or sorted(named)
    if len(found) != 1:
        raise ConfigError(f"{folder}: one I<Name>.sol with its <Name>.sol wanted, found {found}")
    return found[0]


def _compile(main: str, contract: str, roots: _Roots) -> tuple[str, dict[str, Any]]:
    """Return the compiler's version and what it says about a contract and all it imports."""
    selection = {main: {contract: ["abi", "evm.bytecode.object"]}}
    request = {
        "roots": [(prefix, str(folder)) for prefix, folder in roots],
        "main": main,
        "input": {
            "language": "Solidity",
            "settings": {**SETTINGS, "outputSelection": selection},
        },
    }
    try:
        done = subprocess.run(  # noqa: S603 - our own script
            ["node", "-e", _COMPILE],  # noqa: S607 - node of the PATH
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise ConfigError("building the contracts needs node on the PATH") from error
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"solc could not be run: {error.stderr.strip()}") from error
    said = json.loads(done.stdout)
    version: str = said["version"]
    output: dict[str, Any] = said["output"]
    if not version.startswith(SOLC + "+"):
        raise ConfigError(f"solc {SOLC} is wanted, {version} was found")
    errors = [entry["formattedMessage"] for entry in output.get("errors", [])]
    if errors:
        raise ConfigError("the contracts do not compile cleanly:\n" + "\n".join(errors))
    return version, output


def _hash(name: str, roots: _Roots) -> str:
    places = [
        folder / name.removeprefix(prefix) for prefix, folder in roots if name.startswith(prefix)
    ]
    return sha256(next(path for path in places if path.exists()).read_bytes()).hexdigest()


def _check(contract: str, abi: list[dict[str, Any]]) -> None:
    for kind in ("function", "event", "error"):
        names = [entry["name"] for entry in abi if entry["type"] == kind]
        if len(set(names)) != len(names):
            raise ConfigError(f"{contract}: an overloaded {kind} cannot be called by name")
    for entry in abi:
        for argument in entry.get("inputs", ()):
            dynamic = argument["type"] in ("string", "bytes") or "[" in argument["type"]
            if argument.get("indexed") and dynamic:
                raise ConfigError(f"{contract}.{entry['name']}: {argument['name']} is only a hash")


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild or check the artifacts; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m " + (__spec__.name if __spec__ else "build"))
    parser.add_argument("node_modules", type=Path, help="folder that holds the npm packages")
    parser.add_argument(
        "folders", type=Path, nargs="*", help="a contract's folder (default: the built-in ones)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    options = parser.parse_args(arguments)
    status = 0
    for path, text in build(options.node_modules, options.folders).items():
        if path.exists() and path.read_text() == text:
            continue
        if options.check:
            sys.stderr.write(f"{path} is not what its source compiles to\n")
            status = 1
        else:
            path.write_text(text)
    return status


if __name__ == "__main__":
    sys.exit(main())
