"""What a var directory may lose: never what a kept transition, a configured actor or a young start needs."""

import os
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tests.unit.replay.recorded import Recorder
from theater_protocol.chain import Instance
from theater_supervisor.journal import garbage

FIRST, SECOND, UNUSED = (sha256(name).digest() for name in (b"first", b"second", b"unused"))


def kept(directory: Path, suffix: str, age_s: float = 7200) -> dict[bytes, Path]:
    """Put a file for each component into a directory, last used so long ago."""
    directory.mkdir(parents=True)
    paths = {one: directory / f"{one.hex()}{suffix}" for one in (FIRST, SECOND, UNUSED)}
    for path in paths.values():
        path.write_bytes(b"code")
        os.utime(path, (time.time() - age_s,) * 2)
    return paths


def history(var: Path) -> Path:
    """Record an actor that ran two components, the second of them last; return its directory."""
    recorder = Recorder(var)
    for component in (FIRST, SECOND):
        recorder.commit("instance", Instance(bytes(32), component), connection=0)
    recorder.connect()
    return recorder.close().data


@pytest.mark.parametrize("configured", [None, [SECOND]], ids=["no supervisor", "a supervisor"])
def test_what_nothing_needs_is_found_and_removed(tmp_path: Path, configured: list[bytes] | None) -> None:
    """Components of the history stay, for replay; of compiled code only what is in use."""
    components = kept(history(tmp_path) / "components", ".wasm")
    code = kept(tmp_path / "cache", ".key.sum.cwasm")
    (tmp_path / "cache" / "of somebody else").touch()
    found = garbage.find(tmp_path, configured)
    assert {one.path for one in found} == {components[UNUSED], code[FIRST], code[UNUSED]}
    garbage.remove(found)
    assert components[FIRST].exists()
    assert garbage.find(tmp_path, configured) == []


def test_what_is_young_stays(tmp_path: Path) -> None:
    """It may be that of a start which is under way."""
    kept(history(tmp_path) / "components", ".wasm", age_s=60)
    kept(tmp_path / "cache", ".key.sum.cwasm", age_s=60)
    assert garbage.find(tmp_path) == []


def test_nothing_goes_where_needs_are_not_known(tmp_path: Path) -> None:
    """A damaged journal's components stay, a configured actor's, and a cache that is shared by a link."""
    data = history(tmp_path)
    components = kept(data / "components", ".wasm")
    kept(tmp_path / "elsewhere", ".key.sum.cwasm")
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    assert [one.path for one in garbage.find(tmp_path)] == [components[UNUSED]]
    assert garbage.find(tmp_path, [UNUSED]) == []
    (data / "journal.db").write_bytes(b"no database at all, but something else")
    assert garbage.find(tmp_path) == []
