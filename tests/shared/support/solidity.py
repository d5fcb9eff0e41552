"""Solidity of third parties, compiled with the compiler that npm has."""

import json
import subprocess
from pathlib import Path
from typing import Any

from .npm import CACHE, CONTRACTS, npm_install

__all__ = ["compiled"]

_COMPILE = """
const { readFileSync } = require("fs");
const solc = require(process.argv[1] + "/solc");
process.stdout.write(solc.compile(readFileSync(0, "utf8")));
"""
_SETTINGS = {
    "evmVersion": "shanghai",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "optimizer": {"enabled": True},
    "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
}


def compiled(source: Path) -> dict[str, Any]:
    """Return the artifact of the contract that a file is named after: its ABI and bytecode."""
    modules = npm_install(CONTRACTS / "solidity", CACHE / "contracts" / "solidity")
    request = {
        "language": "Solidity",
        "sources": {source.name: {"content": source.read_text(encoding="utf-8")}},
        "settings": _SETTINGS,
    }
    done = subprocess.run(
        ["node", "-e", _COMPILE, str(modules.resolve())],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=True,
    )
    output = json.loads(done.stdout)
    assert "errors" not in output, output["errors"]
    found = output["contracts"][source.name][source.stem]
    return {"abi": found["abi"], "bytecode": "0x" + found["evm"]["bytecode"]["object"]}
