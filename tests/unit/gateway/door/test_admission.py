"""Places are counted exactly."""

from theater_supervisor.gateway.door.admission import AddressCounts, Slots, Waiting


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


def test_beyond_its_bound_an_address_loses_its_oldest_handshake() -> None:
    """Others keep theirs; what has no address counts in all only."""
    pending: Waiting[str] = Waiting(max_all=6, max_per_address=2)
    assert [pending.add(f"a{number}", "a") for number in range(4)] == [None, None, "a0", "a1"]
    assert [pending.add(f"b{number}", "b") for number in range(2)] == [None, None]
    assert [pending.add(f"p{number}", None) for number in range(4)] == [None, None, "a2", "a3"]
    assert list(pending) == ["b0", "b1", "p0", "p1", "p2", "p3"]
    pending.remove("b0")
    pending.remove("b0")
    assert len(pending) == 5
    assert pending.add("b2", "b") is None


def test_an_addresss_connections_are_counted_and_given_back() -> None:
    """The bound holds for each address; None is none."""
    counts = AddressCounts()
    assert [counts.take("a", 2) for _ in range(3)] == [True, True, False]
    assert counts.take("b", 2)
    counts.free("a")
    assert counts.take("a", 2)
    assert all(counts.take("a", None) for _ in range(100))
