"""The shim and damaged components: it stays out, or nothing but the speed changes."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.components import build
from tests.faults.counts import repeats

pytestmark = pytest.mark.campaign
ROOT = Path(__file__).parents[2]
MUTANTS_OF_EACH = 1000
TIMEOUT_S = 600


@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize("actor", ["echo", "echo_variant", "probe"])
def test_a_mutated_component_behaves_as_without_the_shim(tmp_path: Path, actor: str) -> None:
    """No mutant ends the process, none is compiled with the shim that behaves otherwise with it."""
    component = shutil.copy(build(actor), tmp_path / "component.wasm")
    count = repeats(MUTANTS_OF_EACH)
    command = [sys.executable, "-m", "tests.faults.shim_mutants", str(component), "0", str(count)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    *_, last = done.stdout.splitlines()
    assert done.returncode == 0, f"ended by mutant {last}: {done.stderr}"
    became: Counter[str] = Counter()
    for line in done.stdout.splitlines():
        seed, _, verdict = line.partition(" ")
        became[json.loads(verdict)[0]] += 1
        assert '"different"' not in verdict, f"mutant {seed}: {verdict}"
    assert became.total() == count
    # Else nothing was compared.
    assert became["same"] > count / 50
