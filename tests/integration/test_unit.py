"""The systemd unit in contrib: systemd finds nothing wrong with it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "contrib" / "theater-supervise.service"
INSTALLED = "/opt/theater/bin/theater-supervise"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
def test_systemd_verifies_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has no complaint, with the command of this installation in place."""
    command = str(Path(sys.executable).with_name("theater-supervise"))
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(INSTALLED, command))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
