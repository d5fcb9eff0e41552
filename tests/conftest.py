"""What all tests share: profiles for properties, figures of the long campaigns."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("support", "fedledger.ledger_plugins.testing")

from support.examples import LONGER  # noqa: E402 - after it was registered

# No deadline: a loaded machine is no fault of ours.
settings.register_profile("default", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=100 * LONGER)


def pytest_terminal_summary(terminalreporter):
    """Print what the long campaigns recorded with `record_property`."""
    reports = terminalreporter.stats.get("passed", [])
    soaked = [report for report in reports if "soak" in report.keywords]
    for report in sorted(soaked, key=lambda report: report.nodeid):
        figures = ", ".join(f"{name} {value}" for name, value in report.user_properties)
        terminalreporter.write_line(f"{report.nodeid}: {figures} in {report.duration:.0f} s")
