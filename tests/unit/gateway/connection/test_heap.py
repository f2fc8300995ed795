"""When memory is given back, after a crowd, by halves; and what the collector need not look at."""

import gc
import platform
import subprocess
import sys

import pytest

from theater_supervisor.gateway.connection.heap import Crowd, give_back, keep_for_good


def test_a_crowd_ebbs_by_halves() -> None:
    """From eight to four and from four to two, once each; what is left is no crowd."""
    crowd = Crowd(at_least=4)
    assert not any(crowd.ebbed(count) for count in range(1, 9))
    assert [count for count in (7, 6, 5, 4, 3, 2, 1, 0) if crowd.ebbed(count)] == [4, 2]


def test_few_are_no_crowd() -> None:
    """Comings and goings of a few cost nothing."""
    crowd = Crowd(at_least=4)
    assert not any(crowd.ebbed(count) for count in (1, 2, 3, 2, 1, 0, 3, 0))


def test_memory_can_be_given_back_at_any_time() -> None:
    """It works, or does nothing, wherever this runs."""
    give_back()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep")
def test_buffers_of_large_messages_are_used_again() -> None:
    """Once it was had, a MiB again and again needs no more pages of the system."""
    script = """if True:
        import resource
        from theater_supervisor.gateway.connection.heap import keep_buffers

        def new_pages():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(20):
                first, second = bytes(1 << 20), bytearray(1 << 20)
                del first, second
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        keep_buffers()
        new_pages()
        assert new_pages() < 256, new_pages()
    """
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


def test_what_is_kept_for_good_is_not_visited_again() -> None:
    """A collection passes over what was there, and finds what came later."""
    early = [object()]
    keep_for_good()
    late = [object()]
    try:
        visited = {id(each) for each in gc.get_objects()}
        assert id(early) not in visited
        assert id(late) in visited
    finally:
        gc.unfreeze()
