"""Exit statuses of `theater-supervise` for what no manifest is to blame for."""

import errno
from pathlib import Path

import pytest

from tests.components import build
from theater_supervisor import cli, serve


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OSError(errno.EMFILE, "Too many open files"), 71),
        (
            ExceptionGroup("a nursery's", [ExceptionGroup("another's", [OSError(errno.EAGAIN, "no fork")])]),
            71,
        ),
        (ZeroDivisionError("a mistake"), 70),
        (ExceptionGroup("two", [OSError(), ZeroDivisionError()]), 70),
    ],
    ids=["system", "system in groups", "mistake", "mixed"],
)
def test_what_ends_the_supervisor_has_its_status_and_is_logged(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
) -> None:
    """71 for what the system refuses, 70 for a mistake of ours; supervisor.log has the place."""

    def fail(*_: object) -> None:
        raise error

    manifests = tmp_path / "manifests"
    manifests.mkdir()
    table = '[[handlers]]\ntype = "websocket-server"\nconfig = { port = 0 }\n'
    text = f'name = "echo"\ncomponent_path = "{build("echo")}"\n{table}'
    (manifests / "echo.toml").write_text(text)
    monkeypatch.setattr(serve.trio, "run", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main(["--var", str(tmp_path / "var"), str(manifests)])
    assert ended.value.code == status
    assert "supervisor_failed" in capfd.readouterr().err
    logged = (tmp_path / "var" / "log" / "supervisor.log").read_text()
    assert '"event": "supervisor_failed"' in logged
    assert "test_cli.py" in logged
