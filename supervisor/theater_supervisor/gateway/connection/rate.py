"""How fast a client's frames may come: a token bucket that slows first and gives up later. Pure."""

from theater_supervisor.gateway.connection.limits import RateLimit


class RateExceeded(Exception):
    """The client pressed on for longer than the limit's patience."""


class RateLimiter:
    """One connection's bucket. `take` a frame at a time, in the order of `now_s`."""

    def __init__(self, limit: RateLimit, now_s: float) -> None:
        self._limit = limit
        self._tokens = float(limit.burst)
        self._at_s = now_s
        self._slowed_since_s: float | None = None

    def take(self, now_s: float) -> float:
        """Count one frame; return for how many seconds the socket must not be read, 0 within the limit.

        Raises RateExceeded when it was slowed all the time for the limit's patience: a full bucket, that is a
        pause of the client, starts anew.
        """
        limit = self._limit
        self._tokens = min(limit.burst, self._tokens + (now_s - self._at_s) * limit.messages_per_s)
        self._at_s = now_s
        if self._tokens >= limit.burst:
            self._slowed_since_s = None
        self._tokens -= 1
        if self._tokens >= 0:
            return 0
        if self._slowed_since_s is None:
            self._slowed_since_s = now_s
        elif now_s - self._slowed_since_s > limit.patience_s:
            raise RateExceeded
        return -self._tokens / limit.messages_per_s
