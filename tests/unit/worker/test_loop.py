"""When results go out while there is more to do."""

import pytest

from theater_worker.loop import is_due


@pytest.mark.parametrize(
    ("waiting", "open_s", "due"),
    [
        pytest.param(100, 0.0004, False, id="many fast ones wait for more"),
        pytest.param(16, 0.0006, True, id="enough of them"),
        pytest.param(15, 0.0006, False, id="slow ones wait for others"),
        pytest.param(15, 0.0019, False, id="also very slow ones"),
        pytest.param(1, 0.0021, True, id="but not for long"),
    ],
)
def test_a_batch_is_worth_a_commit_and_soon_sent(waiting: int, open_s: float, due: bool) -> None:
    """Both how many results wait and for how long decide."""
    assert is_due(waiting, open_s) is due
