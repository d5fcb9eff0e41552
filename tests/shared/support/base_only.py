"""A process in which only the base installation is: what extras bring cannot be imported."""

import json
import os
import pickle
import subprocess
import sys

from fedledger.experiments.run.engines.wire import pack, unpack_message

__all__ = ["EXTRAS", "Device", "environment", "python"]

EXTRAS = {
    "server": ("apsw", "msgpack", "numba", "llvmlite"),
    "ethereum": ("web3", "rlp", "eth_tester"),
    "ipfs": ("ipfshttpclient",),
    "paillier": ("gmpy2", "phe"),
    "pairing": ("py_arkworks_bls12381",),
    "torch": ("torch",),
    "vision": ("torchvision", "PIL"),
    "experiments": ("matplotlib", "sklearn", "scipy", "pandas"),
    "simulation": ("ray",),
    "transfer": ("asyncssh",),
}
"""What each extra brings, as it is imported; `node` and `demo` bring what others do, or Flower."""

_SITE = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in {absent!r}
        return None if absent else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def environment(folder, *, without=EXTRAS):
    """Return the environment of a process that has none of some extras' packages.

    Args:
        folder: for what Python reads when it starts.
        without: the extras.
    """
    absent = {module for extra in without for module in EXTRAS[extra]}
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_SITE.format(absent=absent), encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}


def python(program, *arguments, env):
    """Run a program in a fresh interpreter; return what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


_DEVICE = """
import pickle, sys
import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from fedledger.clients import signing_mod
from fedledger.experiments.run.engines.wire import pack, set_id, task_identity, unpack_message

app = ClientApp(mods=[signing_mod])

@app.train()
def train(message, context):
    w = message.content["arrays"]["w"].numpy()
    arrays = ArrayRecord({"w": Array(w + np.float32(1 + context.node_config["partition-id"]))})
    metrics = MetricRecord({"num-examples": 10})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

while True:
    try:
        run, message_id, packed, contents, context = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    with task_identity(run):
        try:
            message = set_id(unpack_message(packed, contents), message_id)
            parts = {}
            answer = pack(app(message, context), parts), parts, context.state
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
    loaded = {name.partition(".")[0] for name in sys.modules}
    pickle.dump((answer, loaded), sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""


class Device:
    """A ClientApp with `signing_mod` in a process of its own, as a device has it.

    It is called as a ClientApp is, by an engine in this process; its model is one array "w".

    Args:
        env: the process's environment.

    Attributes:
        loaded: top-level modules that the process had loaded after its newest answer.
        answers: how many answers it gave.
    """

    def __init__(self, env):
        self.loaded = set()
        self.answers = 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", _DEVICE], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, message, context):
        contents = {}
        packed = pack(message, contents)
        asked = (context.run_id, message.metadata.message_id, packed, contents, context)
        pickle.dump(asked, self._process.stdin)
        self._process.stdin.flush()
        answer, self.loaded = pickle.load(self._process.stdout)  # noqa: S301 - our own process
        assert not isinstance(answer, str), answer
        packed, contents, context.state = answer
        self.answers += 1
        return unpack_message(packed, contents)

    def close(self):
        self._process.communicate()
