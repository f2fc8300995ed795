"""Asks an advisory service, by pip-audit, about the distributions that requirement files with hashes name.

Usage: python .ci/audit.py FILE... Exit status: 1 when any has a known hole; 0 otherwise, also when the
service can't be asked, which is said: whoever works without a network shall not be held up.
"""

import json
import subprocess
import sys
from typing import Any

TIMEOUT_S = 600


def main(files: list[str]) -> int:
    """Audit the files and say what came of it."""
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    names = [part for file in files for part in ("--requirement", file)]
    command = [sys.executable, "-m", "pip_audit", *options, "--timeout", "15", *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return nothing_audited(f"it did not answer within {TIMEOUT_S} s")
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return nothing_audited((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    return verdict(found)


def verdict(found: list[dict[str, Any]]) -> int:
    """Say how many were audited and which have a hole."""
    audited = [one for one in found if "skip_reason" not in one]
    if not audited:
        return nothing_audited("it knows none of these distributions")
    holes = [(one, hole) for one in audited for hole in one["vulns"]]
    for one, hole in holes:
        fixed = ", ".join(hole["fix_versions"]) or "none yet"
        print(f"{one['name']} {one['version']}: {hole['id']} (fixed in: {fixed})")
    print(f"audited {len(audited)} of {len(found)} distributions: {len(holes)} known holes")
    return 1 if holes else 0


def nothing_audited(why: str) -> int:
    """Say that the service could not be asked."""
    print(f"nothing was audited: no use of the advisory service: {why}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
