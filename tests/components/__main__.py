"""Builds and compiles every actor that tests use, each once and two at a time, before the tests share them.

Usage: python -m tests.components. What is there already costs nothing.
"""

from pathlib import Path

import trio

from tests.components import build
from theater_supervisor.components.compile import compile_component
from theater_supervisor.components.prepare import prepare
from theater_supervisor.manifest.model import load_directory

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "cache"
# The long ones first; echo_javascript needs tools that only some machines have.
ACTORS = (
    *("stdout", "touch_python"),
    *("echo", "echo_variant", "counter", "probe", "init", "touch", "malformed", "malformed_variant"),
)


async def main() -> None:
    """Build and compile all; raises what the first one to fail raises."""
    limiter = trio.CapacityLimiter(2)

    async def make(name: str) -> None:
        async with limiter:
            component = await trio.to_thread.run_sync(build, name)
            await compile_component(component, CACHE)

    async with trio.open_nursery() as nursery:
        for name in ACTORS:
            nursery.start_soon(make, name)
    await prepare(load_directory(ROOT / "manifests"), CACHE)


if __name__ == "__main__":
    trio.run(main)
