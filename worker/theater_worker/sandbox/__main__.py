"""`python -I -m theater_worker.sandbox`: lock this process down as a worker is, and say what held.

Prints one JSON object: `level`, `landlock_abi` (0 for none), `seccomp`, `architecture` (null if unknown).
"""

import json
import os
from typing import Never

import theater_worker.component  # noqa: F401 - what a worker has in its memory when it is locked down
from theater_worker.sandbox import SECCOMP_ONLY, landlock, lock_down
from theater_worker.sandbox.kernel import architecture


def main() -> Never:
    """Find out what this machine offers, by trying it."""
    machine, landlock_abi = architecture(), landlock.abi()
    level = lock_down(0, (1, 2), 0, lambda: None)
    report = {
        "level": level,
        "seccomp": level >= SECCOMP_ONLY,
        "landlock_abi": landlock_abi,
        "architecture": machine,
    }
    print(json.dumps(report), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
