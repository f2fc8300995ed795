"""How often a campaign repeats: a tenth in `make test`, all of it in `make faults` (THEATER_FAULTS=1)."""

import os

FULL = os.environ.get("THEATER_FAULTS") == "1"


def repeats(full: int) -> int:
    """Return `full`, or a tenth of it."""
    return full if FULL else max(1, full // 10)
