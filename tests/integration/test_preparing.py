"""What an operator is told while components are made ready: the control socket is there early."""

import signal
import subprocess
import sys
from pathlib import Path

import trio

from tests.components import build
from tests.integration.running import PATIENCE_S
from tests.integration.theaterctl import complaint, objects, output

# As slow as this machine lets it be: a build of a Python actor takes at least some seconds.
SOURCE = "from wit_world import exports\n\n\nclass WebsocketServer(exports.WebsocketServer):\n    pass\n"


def write(directory: Path) -> None:
    """Write two manifests: one has to be built, one is ready to run."""
    manifests = directory / "manifests"
    manifests.mkdir()
    handler = '[[handlers]]\ntype = "websocket-server"\nconfig = { port = 0 }\n'
    (manifests / "slow.py").write_text(SOURCE)
    built = 'name = "slow"\ncomponent_path = "slow.wasm"\n[build]\npython = "slow.py"\n'
    (manifests / "slow.toml").write_text(built + handler)
    (manifests / "echo.toml").write_text(f'name = "echo"\ncomponent_path = "{build("echo")}"\n{handler}')


def test_status_during_a_build_says_how_far_it_is(tmp_path: Path) -> None:
    """It is not ready (3), says what is being done for whom; other commands try again later (75)."""
    write(tmp_path)
    var = tmp_path / "var"

    async def main() -> None:
        process = await trio.lowlevel.open_process(
            [
                str(Path(sys.executable).with_name("theater-supervise")),
                *("--var", str(var), str(tmp_path / "manifests")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with trio.fail_after(PATIENCE_S):
                while not (var / "run" / "control.sock").exists():
                    await trio.sleep(0.01)
                while not is_building(seen := await objects(var, "status", status=3)):
                    await trio.sleep(0.05)
            assert (seen["phase"], seen["pid"], seen["actors"]) == ("preparing", process.pid, [])
            steps = {step["actors"][0]: step for step in seen["preparing"]}
            assert steps.keys() == {"echo", "slow"}
            assert steps["slow"]["component"].endswith("slow.wasm")
            table = await output(var, "status", status=3)
            assert table.startswith("theater-supervise 0.1.0 is preparing (")
            assert " of 2 components are done)" in table
            assert "building" in table
            said = await complaint(var, "restart", "echo", status=75)
            assert "the supervisor is preparing: `theaterctl status` says how far it is" in said
            # Killed meanwhile, nobody takes what it left behind for a supervisor.
            process.kill()
            await process.wait()
            assert "no supervisor runs on" in await complaint(var, "status", status=4)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.wait()

    trio.run(main)


def is_building(seen: dict[str, object]) -> bool:
    """Whether the slow one is being built."""
    steps = seen["preparing"]
    assert isinstance(steps, list)
    return any(step["stage"] == "building" for step in steps)
