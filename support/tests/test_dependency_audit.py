from __future__ import annotations

from typing import Any

import pytest
from audit_dependencies import conclude, conclude_npm

CLEAN = {"name": "click", "version": "8.2.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited"}
VULNERABLE = {
    "name": "jinja2",
    "version": "3.1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.1.6"]}, {"id": "PYSEC-2", "fix_versions": []}],
}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    """Return a report as ``pip-audit --format json`` prints it."""
    return {"dependencies": list(packages), "fixes": []}


def test_an_advisory_fails_and_names_package_and_remedy() -> None:
    """Each advisory is listed with the release that fixes it."""
    passed, text = conclude(report(CLEAN, VULNERABLE, SKIPPED))
    assert not passed
    assert text.splitlines() == [
        "2 known vulnerabilities:",
        "  jinja2 3.1.0: PYSEC-1 (fixed in 3.1.6)",
        "  jinja2 3.1.0: PYSEC-2 (fixed in no release yet)",
    ]


def test_an_audit_that_looked_up_nothing_is_not_called_clean() -> None:
    """When every package was skipped, the result says that the data was out of reach."""
    assert conclude(report(SKIPPED)) == (True, "advisory data out of reach, skipped")


def test_a_clean_audit_says_how_much_it_covered() -> None:
    """Packages that could not be looked up are not counted as audited."""
    assert conclude(report(CLEAN, SKIPPED)) == (
        True,
        "1 of 2 packages audited, no known vulnerability",
    )


def test_an_advisory_on_a_package_of_the_front_ends_fails_and_names_it() -> None:
    """With the range of versions that it concerns."""
    found = {"left-pad": {"severity": "high", "range": "<1.3.0"}}
    passed, text = conclude_npm({"vulnerabilities": found, "metadata": {}})
    assert not passed
    assert text.splitlines()[1] == "  left-pad <1.3.0: high"


@pytest.mark.parametrize(
    ("message", "passed"),
    [
        ("405 Method Not Allowed - POST https://r.test/-/npm/v1/security/advisories/bulk", True),
        ("This command requires an existing lockfile.", False),
    ],
)
def test_a_registry_without_advisories_is_out_of_reach_and_other_errors_fail(
    message: str, passed: bool
) -> None:
    """Nothing that was not looked up is called clean."""
    assert conclude_npm({"message": message})[0] is passed
