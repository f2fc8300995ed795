"""Files with secrets that are no files."""

from pathlib import Path

import pytest

from tests.special_files import SPECIAL, place_special
from theater_supervisor.gateway.door.secret_files import (
    SecretUnusable,
    check_integrity,
    check_secrecy,
    read_text,
)


@pytest.mark.parametrize("kind", [*SPECIAL, "device"])
@pytest.mark.parametrize("look", [check_secrecy, check_integrity, read_text])
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path, look: object, kind: str) -> None:
    """Whichever is the first to look."""
    assert callable(look)
    place_special(tmp_path / "tokens", kind)
    with pytest.raises(SecretUnusable, match=f"tokens .*is a {kind}, not a file"):
        look(tmp_path / "tokens")
