"""Every socket of a client has a place: pending, open, or lingering, and each kind of place a bound."""

from contextlib import AsyncExitStack

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from tests.integration.gateway_rig import (
    CLOSE,
    LOCAL,
    FakeService,
    RawClient,
    Rig,
    frame,
    gateway_rig,
    listening,
    request,
    run,
)
from theater_supervisor.gateway.connection.limits import ConnectionLimits
from theater_supervisor.gateway.door.limits import HandshakeLimits
from theater_supervisor.gateway.door.listener import Gateway
from theater_supervisor.gateway.door.routes import Route

PATIENT = HandshakeLimits(max_pending=3, max_lingering=2, timeout_s=60, linger_s=60)
REFUSED = request(b"PUT / HTTP/1.1")


async def settles(gateway: Gateway, count: int) -> None:
    """Wait until clients have so many sockets and no more."""
    while gateway.sockets != count:
        await trio.sleep(0.01)
    await wait_all_tasks_blocked(0.05)
    assert gateway.sockets == count


@pytest.mark.parametrize(
    ("sent", "count"),
    [(b"", PATIENT.max_pending + PATIENT.max_lingering), (REFUSED, PATIENT.max_lingering)],
    ids=["silent", "refused"],
)
def test_who_is_refused_or_makes_room_has_one_of_few_places(sent: bytes, count: int) -> None:
    """However many there are, and though none of them leaves; a good client is served all the while."""

    async def main() -> None:
        async with gateway_rig(handshakes=PATIENT) as rig, AsyncExitStack() as stack:
            for _ in range(20):
                client = await stack.enter_async_context(rig.raw())
                if sent:
                    await client.send(sent)
            await settles(rig.gateway, count)
            await rig.good_client_is_served()

    run(main)


def test_who_has_the_end_of_a_connection_still_to_read_has_such_a_place() -> None:
    """Its place at the handler is free from then on."""
    slow = ConnectionLimits(linger_s=60)

    async def main() -> None:
        async with gateway_rig(slow, max_connections=1, handshakes=PATIENT) as rig, AsyncExitStack() as stack:
            for _ in range(6):
                client = await stack.enter_async_context(rig.raw())
                await client.upgrade()
                await client.send(frame(3, b"reserved"))
                assert (await client.close_frame()).code == 1002
                await rig.service.until(lambda: not rig.service.open)
            await settles(rig.gateway, PATIENT.max_lingering)

    run(main)


def test_nobody_is_accepted_beyond_what_clients_may_have() -> None:
    """The descriptors of journals and workers are not touched; who waits comes in when somebody has left."""

    async def main() -> None:
        service = FakeService()
        gateway = Gateway([Route(*LOCAL, "/", 10, service)], max_sockets=2)
        async with trio.open_nursery() as nursery:
            await nursery.start(gateway.serve, {LOCAL: listening(*LOCAL)})
            rig = Rig(gateway, service, gateway.addresses()[LOCAL][0][1])
            async with rig.raw() as first, rig.raw() as second, rig.raw() as third:
                for client in (first, second):
                    await client.upgrade()
                await third.send(request())
                await wait_all_tasks_blocked(0.05)
                assert gateway.sockets == 2
                assert len(service.open) == 2
                await first.send(frame(CLOSE, b"\x03\xe8"))
                await first.close_frame()
                assert (await third.response()).startswith(b"HTTP/1.1 101 ")
                assert gateway.sockets == 2
            nursery.cancel_scope.cancel()

    run(main)


def test_refusals_do_not_fill_the_log() -> None:
    """A line is short whatever the peer sends, and of many the most are only counted."""
    head = request(extra=b"Origin: " + b"\xff" * 9000 + b"\r\n")

    async def refused(client: RawClient) -> None:
        await client.send(head)
        assert (await client.response()).startswith(b"HTTP/1.1 403 ")

    async def main() -> None:
        async with gateway_rig() as rig:
            for _ in range(400):
                async with rig.raw() as client:
                    await refused(client)

    with capture_logs() as logs:
        run(main)
    lines = [entry for entry in logs if entry["event"] == "handshake_refused"]
    (told,) = [entry for entry in logs if entry["event"] == "lines_suppressed"]
    assert told["of"] == "handshake_refused"
    assert len(lines) + told["count"] == 400
    assert sum(len(repr(line)) for line in lines) < 256 * 1024
    assert max(len(repr(line)) for line in lines) < 2048
