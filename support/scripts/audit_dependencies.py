"""Check what is installed against the public advisories (pip-audit, npm audit).

    .venv/bin/python support/scripts/audit_dependencies.py .venv .venv-trainer extensions

A virtual environment is audited as it is; a folder with a package-lock.json as that says. Both
tools can end well, or with an error of their own, when they could look up nothing, so their reports
are read here: an advisory fails, an audit that reached no data says that it was skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SKIPPED = "advisory data out of reach, skipped"
_OUT_OF_REACH = ("requests.exceptions.", "Could not connect to", "not redirecting properly")
"""What pip-audit's log contains when the network failed, and only then."""
_NO_ADVISORIES = ("/-/npm/v1/security/", "ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT")
"""What npm's error names when the registry has no advisories to ask, or cannot be reached."""


def conclude(report: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a report of ``pip-audit --format json`` is acceptable, and what it says."""
    packages = report["dependencies"]
    audited = [package for package in packages if "vulns" in package]
    findings = [
        f"  {package['name']} {package['version']}: {found['id']}"
        f" (fixed in {', '.join(found['fix_versions']) or 'no release yet'})"
        for package in audited
        for found in package["vulns"]
    ]
    if findings:
        return False, "\n".join([f"{len(findings)} known vulnerabilities:", *findings])
    if not audited:
        return True, SKIPPED
    return True, f"{len(audited)} of {len(packages)} packages audited, no known vulnerability"


def conclude_npm(report: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a report of ``npm audit --json`` is acceptable, and what it says."""
    if "vulnerabilities" not in report:
        message = str(report.get("message") or report)
        return (
            (True, SKIPPED)
            if any(sign in message for sign in _NO_ADVISORIES)
            else (False, f"npm audit failed: {message}")
        )
    found = report["vulnerabilities"]
    if not found:
        total = report["metadata"]["dependencies"]["total"]
        return True, f"{total} packages audited, no known vulnerability"
    lines = [f"  {name} {one['range']}: {one['severity']}" for name, one in found.items()]
    return False, "\n".join([f"{len(found)} packages with known vulnerabilities:", *lines])


def audit(environment: Path) -> tuple[bool, str]:
    """Audit what is installed in one virtual environment."""
    [site_packages] = environment.glob("lib/python*/site-packages")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--path", str(site_packages)),
            *("--skip-editable", "--format", "json", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.stdout:
        return conclude(json.loads(ran.stdout))
    if any(sign in ran.stderr for sign in _OUT_OF_REACH):
        return True, SKIPPED
    return False, f"pip-audit failed:\n{ran.stderr}"


def audit_npm(folder: Path) -> tuple[bool, str]:
    """Audit what a folder's package-lock.json names."""
    ran = subprocess.run(
        ["npm", "audit", "--json"], cwd=folder, capture_output=True, text=True, check=False
    )
    return conclude_npm(json.loads(ran.stdout))


def main(places: Sequence[str]) -> int:
    """Print a line for each place; return 1 if one of them has a known vulnerability."""
    acceptable = True
    for place in places:
        locked = (Path(place) / "package-lock.json").exists()
        passed, text = audit_npm(Path(place)) if locked else audit(Path(place))
        print(f"{'npm audit' if locked else 'pip-audit'} {place}: {text}")
        acceptable &= passed
    return 0 if acceptable else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
