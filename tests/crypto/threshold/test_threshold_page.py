"""The example on the page about the architecture does what it says."""

import re
from pathlib import Path
from typing import Any

from support.threshold_vectors import RECIPIENT

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_the_example_opens_what_was_encrypted():
    """As it stands there, at full size: three of five trainers get the messages."""
    section = PAGE.read_text(encoding="utf-8").partition("## Threshold decryption")[2]
    [code] = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    names: dict[str, Any] = {"messages": [0, 1, 2**2000], "recipient": RECIPIENT}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    assert list(names["opening"].messages) == names["messages"]
    assert len(names["sealed"]) == names["keys"].width + 48
