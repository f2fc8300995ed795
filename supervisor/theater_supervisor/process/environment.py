"""The environment that child processes get: nothing of this one's but what an interpreter needs to start.

Secrets are handed to services in their environment; whatever reads an actor's code must not find them there.
"""

import os
from typing import Final

# An interpreter outside the system's directories may need its library path to start at all.
_NEEDED: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def bare_environment(*also: str) -> dict[str, str]:
    """Return the environment of a child, with the variables `also` where this process has them."""
    kept = {name: os.environ[name] for name in (*_NEEDED, *also) if name in os.environ}
    return {"LC_ALL": "C.UTF-8", **kept}
