"""What this machine's sandbox offers, and tests that need a part of it."""

import json
import subprocess
import sys
from functools import cache

import pytest


@cache
def probe() -> dict[str, object]:
    """What this machine offers."""
    command = [sys.executable, "-I", "-m", "theater_worker.sandbox"]
    report: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return report


def needs_level(level: int) -> pytest.MarkDecorator:
    """Skip a test where the machine cannot lock workers down that far."""
    found = probe()["level"]
    assert isinstance(found, int)
    return pytest.mark.skipif(found < level, reason=f"this machine's sandbox level is {found}")
