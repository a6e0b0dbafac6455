"""Audit of the dependencies: licences of what runs, and known vulnerabilities where reachable.

1. Every distribution that the runtime needs, directly or not, must carry a permissive licence.
2. Every installed distribution must be the version that ``constraints.txt`` was tested with.
3. pip-audit asks the package index for known vulnerabilities; where the index has no such service
   the audit says that it could not be asked.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
_FORBIDDEN = re.compile(r"\b(A?GPL|GNU (Affero )?General Public)", re.IGNORECASE)
_LESSER = re.compile(r"\bLGPL|Lesser General Public", re.IGNORECASE)


def main() -> int:
    """Run the audit; return the exit code."""
    problems = [*licence_problems("quant_platform"), *version_problems()]
    for problem in problems:
        print(problem)
    vulnerable = known_vulnerabilities()
    print(f"licences and versions: {len(problems)} problems; vulnerabilities: {vulnerable}")
    return 1 if problems or vulnerable.startswith("found") else 0


def licence_problems(root: str) -> list[str]:
    """Distributions of the runtime whose licence is copyleft."""
    found = []
    for dist in sorted(runtime_closure(root), key=lambda d: d.name):
        told = licence_of(dist)
        if _FORBIDDEN.search(_LESSER.sub("", told)):
            found.append(f"{dist.name} {dist.version} is under {told!r}, expected a permissive one")
    return found


def licence_of(dist: Distribution) -> str:
    """Licence that a distribution declares."""
    meta = dist.metadata
    classifiers = [c for c in meta.get_all("Classifier") or [] if c.startswith("License")]
    expression = meta.get("License-Expression") or ""
    return "; ".join([expression, *classifiers]) or (meta.get("License") or "")[:80]


def runtime_closure(root: str) -> Iterator[Distribution]:
    """Distributions that one needs without extras, directly or not."""
    queue, seen = [root], {canonicalize_name(root)}
    while queue:
        try:
            dist = distribution(queue.pop())
        except PackageNotFoundError:
            continue
        yield dist
        for text in dist.requires or ():
            needed = Requirement(text)
            if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
                continue
            name = canonicalize_name(needed.name)
            if name not in seen:
                seen.add(name)
                queue.append(name)


def version_problems() -> list[str]:
    """Distributions that differ from the constraints."""
    found = []
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if "==" not in line or line.startswith("#"):
            continue
        name, _, wanted = line.partition("==")
        try:
            installed = distribution(name).version
        except PackageNotFoundError:
            continue
        if installed != wanted:
            found.append(f"{name} {installed} is installed, expected {wanted} of constraints.txt")
    return found


def known_vulnerabilities() -> str:
    """Ask pip-audit; say in words what it said."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "-r", str(ROOT / "constraints.txt")),
            *("--no-deps", "--disable-pip", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    if "could not be audited" in said and "Found" not in said:
        return "not asked, the package index here has no such service"
    print(said.strip()[-4000:])
    return "none known" if done.returncode == 0 else "found, see above"


if __name__ == "__main__":
    sys.exit(main())
