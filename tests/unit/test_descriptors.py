"""The budget of file descriptors."""

import resource
from pathlib import Path

import pytest

from theater_supervisor import descriptors
from theater_supervisor.manifest.model import load_directory


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The process's limits, as a list whose last entry counts."""
    set_to = [(256, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: set_to[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: set_to.append(limits))
    return set_to


def test_the_soft_limit_is_raised_as_far_as_needed(limits: list[tuple[int, int]]) -> None:
    """And left alone where it is enough."""
    descriptors.allow(256)
    assert limits == [(256, 4096)]
    descriptors.allow(1000)
    assert limits[-1] == (1000, 4096)


def test_a_hard_limit_that_is_too_low_is_an_error_that_says_what_to_do(limits: list[tuple[int, int]]) -> None:
    """Before anything is served, with status 78."""
    with pytest.raises(
        descriptors.TooFewDescriptors, match=r"need 5000 .* 4096 .*LimitNOFILE=5000"
    ) as refused:
        descriptors.allow(5000)
    assert refused.value.exit_status == 78
    assert limits == [(256, 4096)]


def test_every_connection_counts() -> None:
    """Of every handler of every manifest."""
    shipped = load_directory(Path(__file__).parents[2] / "manifests")
    connections = sum(one.config.max_connections for manifest in shipped for one in manifest.handlers)
    assert descriptors.needed(shipped) > connections
    assert descriptors.needed(shipped) - descriptors.needed(shipped[:1]) > (
        shipped[1].handlers[0].config.max_connections
    )
