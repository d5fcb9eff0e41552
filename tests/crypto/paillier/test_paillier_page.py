"""The example on the page about the architecture does what it says."""

import re
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_the_example_gives_the_weighted_average():
    """As it stands there, with two updates: exactly the average of the rounded values."""
    section = PAGE.read_text(encoding="utf-8").partition("## Packed Paillier")[2]
    [code] = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    rng = np.random.default_rng(1)
    names: dict[str, Any] = {
        "updates": [rng.normal(0, 0.5, 200).astype(np.float32) for _ in range(2)]
    }
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    one, other = (row.astype(np.int64) for row in names["rows"])
    assert (names["sums"] == 100 * one + 156 * other).all()
    clipped = [np.clip(update, -1, 1) for update in names["updates"]]
    exact = np.average(np.array(clipped, np.float64), axis=0, weights=[100, 156])
    assert np.abs(names["mean"] - exact).max() < 1 / names["packing"].scale
