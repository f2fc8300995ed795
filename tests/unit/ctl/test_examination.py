"""The doctor's checks: fine on this machine, and what they say when something is wrong."""

import os
import resource
import sys
from pathlib import Path

import pytest

from theater_supervisor.ctl import examination as doctor
from theater_supervisor.process.containment import SandboxReport


def test_this_machine_is_fine(tmp_path: Path) -> None:
    """Whoever runs these tests has what a supervisor needs."""
    findings = doctor.examine(tmp_path)
    assert [finding.check for finding in findings if finding.verdict == "failure"] == []
    assert len({finding.check for finding in findings}) == len(doctor.CHECKS)
    assert list(tmp_path.iterdir()) == []


def test_an_old_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the version that is needed."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 9, "final", 0))
    finding = doctor.check_python(tmp_path)
    assert (finding.verdict, finding.what, finding.hint) == (
        *("failure", "3.10.9 is too old", "install 3.11 or newer"),
    )


def test_a_worker_that_cannot_run_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that is not there, and one that has no wasmtime."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    assert doctor.check_worker(tmp_path).verdict == "failure"
    lame = tmp_path / "python"
    lame.write_text("#!/bin/sh\necho 'ModuleNotFoundError: no wasmtime' >&2\nexit 1\n")
    lame.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(lame))
    assert doctor.check_worker(tmp_path).what == "ModuleNotFoundError: no wasmtime"


def test_a_machine_without_the_sandbox_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named, and what would have it."""

    async def nothing() -> SandboxReport:
        return SandboxReport(level=0, seccomp=False, landlock_abi=0, architecture=None)

    monkeypatch.setattr(doctor, "probe_sandbox", nothing)
    finding = doctor.check_sandbox(tmp_path)
    assert (finding.verdict, finding.what) == ("warning", "level 0: no seccomp, no Landlock")
    assert "kernel" in finding.hint


def test_few_open_files_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the ways to raise the limit."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1 << 20))
    finding = doctor.check_files(tmp_path)
    assert finding.verdict == "warning"
    assert "ulimit -n" in finding.hint


def test_a_loose_or_missing_var_is_a_warning(tmp_path: Path) -> None:
    """Others must not look into data or run; a directory that is not there yet is made by a start."""
    assert doctor.check_var(tmp_path / "missing").verdict == "warning"
    (tmp_path / "data").mkdir(mode=0o700)
    assert doctor.check_var(tmp_path).verdict == "ok"
    (tmp_path / "data").chmod(0o750)
    finding = doctor.check_var(tmp_path)
    assert (finding.verdict, finding.hint) == ("warning", f"chmod 700 {tmp_path / 'data'}")


def test_another_s_var_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that this user cannot write."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert doctor.check_var(tmp_path).verdict == "failure"


def test_a_full_disk_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a journal and logs need; a var directory that is not there yet counts by its parent."""
    monkeypatch.setattr(doctor, "_MIN_FREE_BYTES", 1 << 62)
    finding = doctor.check_space(tmp_path / "not" / "there")
    assert finding.verdict == "failure"
    assert finding.what.endswith(f"free at {tmp_path}")
