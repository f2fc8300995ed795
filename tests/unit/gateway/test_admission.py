"""Places are counted exactly."""

from theater_supervisor.gateway.admission import Slots


def test_as_many_slots_as_the_limit_are_given() -> None:
    """The next one is refused until one is freed."""
    slots = Slots(2)
    first, second = slots.take(), slots.take()
    assert first is not None
    assert second is not None
    assert slots.take() is None
    first.free()
    assert slots.take() is not None
    assert slots.take() is None


def test_freeing_twice_gives_one_place() -> None:
    """A slot is one place however often it is given back."""
    slots = Slots(1)
    slot = slots.take()
    assert slot is not None
    slot.free()
    slot.free()
    assert slots.taken == 0
