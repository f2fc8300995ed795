"""What the audit of the installed distributions makes of an advisory service's answers, and of none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / ".ci" / "audit.py"
FINE = {"name": "trio", "version": "0.35.0", "vulns": []}
HOLED = {
    "name": "pyjwt",
    "version": "2.10.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.10.1"], "aliases": [], "description": "…"}],
}
UNKNOWN = {"name": "click", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (json.dumps({"dependencies": [FINE, FINE]}), 0, "audited 2 of 2 distributions: 0 known holes\n"),
        (
            json.dumps({"dependencies": [FINE, HOLED, UNKNOWN]}),
            1,
            "pyjwt 2.10.0: PYSEC-1 (fixed in: 2.10.1)\naudited 2 of 3 distributions: 1 known holes\n",
        ),
        (
            json.dumps({"dependencies": [UNKNOWN]}),
            0,
            "nothing was audited: no use of the advisory service: it",
        ),
        ("", 0, "nothing was audited: no use of the advisory service: refused\n"),
    ],
    ids=["fine", "a hole", "unknown to the service", "no service"],
)
def test_only_a_known_hole_fails(tmp_path: Path, answer: str, status: int, said: str) -> None:
    """Without an answer it says that nothing was audited, and why, and holds nobody up."""
    program = f"import sys\nprint({answer!r})\nprint('refused', file=sys.stderr)\nsys.exit(1)\n"
    (tmp_path / "pip_audit.py").write_text(program)
    done = subprocess.run(
        [sys.executable, AUDIT, "constraints.txt"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert (done.stdout + done.stderr).startswith(said)
