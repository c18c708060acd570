"""Check the installed packages of each environment against the public advisories (pip-audit).

    .venv/bin/python support/scripts/audit_dependencies.py .venv .venv-trainer

pip-audit also ends with 0 and "No known vulnerabilities found" when it could look up nothing, so
its report is read here: an advisory fails, an audit that reached no data says that it was skipped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_OUT_OF_REACH = ("requests.exceptions.", "Could not connect to", "not redirecting properly")
"""What pip-audit's log contains when the network failed, and only then."""


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
        return True, "advisory data out of reach, skipped"
    return True, f"{len(audited)} of {len(packages)} packages audited, no known vulnerability"


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
        return True, "advisory data out of reach, skipped"
    return False, f"pip-audit failed:\n{ran.stderr}"


def main(environments: Sequence[str]) -> int:
    """Print a line for each environment; return 1 if one of them has a known vulnerability."""
    acceptable = True
    for environment in environments:
        passed, text = audit(Path(environment))
        print(f"pip-audit {environment}: {text}")
        acceptable &= passed
    return 0 if acceptable else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
