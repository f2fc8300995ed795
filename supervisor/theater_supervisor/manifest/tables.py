"""The tables of a manifest that are numbers and choices: their keys, types, ranges and defaults.

What they mean is done elsewhere; manifest.py has the tables with paths and addresses, and the reading.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from theater_protocol import messages

_MIB: Final = 1024 * 1024


class Table(BaseModel):
    """A TOML table: only the keys named here, no conversions, never changed once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Limits(Table):
    """What one call of the actor may use and answer, and how large its worker process may become.

    Without rss_mib the process may be 512 MiB larger than memory_mib.
    """

    call_timeout_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 5.0
    memory_mib: Annotated[int, Field(ge=1, le=4096)] = 256
    max_state_bytes: Annotated[int, Field(ge=1, le=32 << 20)] = 16 << 20
    max_replies: Annotated[int, Field(ge=0, le=100_000)] = 10_000
    max_reply_bytes: Annotated[int, Field(ge=0, le=24 << 20)] = 16 << 20
    rss_mib: Annotated[int, Field(ge=64, le=1 << 20)] | None = None

    def of_a_call(self) -> messages.Limits:
        """Return what a worker is told of them."""
        return messages.Limits(
            round(self.call_timeout_s * 1_000_000),
            self.memory_mib * _MIB,
            self.max_state_bytes,
            self.max_replies,
            self.max_reply_bytes,
        )


class SandboxConfig(Table):
    """How safely the worker must be locked in: 2 seccomp and Landlock, 1 seccomp, 0 as far as possible.

    A `fresh` worker is started by itself instead of forked, so it has addresses and canaries of its own.
    """

    require: Literal[0, 1, 2] = 0
    fresh: bool = False


class RestartPolicy(Table):
    """When the actor's worker is replaced after it ended, and how long it may take to come and go.

    `policy` has OTP's words. Delays start at backoff_initial_s and grow by backoff_factor up to
    backoff_max_s, each shortened by up to the share backoff_jitter; a run of stable_after_s starts them
    afresh. After more than `intensity` deaths within period_s the actor is held, and probed every
    held_probe_s; if it is `critical`, the supervisor ends instead.
    """

    policy: Literal["permanent", "transient", "temporary"] = "permanent"
    backoff_initial_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 0.25
    backoff_factor: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] = 2.0
    backoff_max_s: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 30.0
    backoff_jitter: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.2
    stable_after_s: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 60.0
    intensity: Annotated[int, Field(ge=0, le=10_000)] = 10
    period_s: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 600.0
    held_probe_s: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 300.0
    start_timeout_s: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 10.0
    stop_timeout_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 5.0
    critical: bool = False


class LogConfig(Table):
    """How much the actor may log: `files` of file_mib each are kept, and lines beyond a rate are counted.

    The rate is that of bytes in the file; burst_kib may be written at once after a quiet time.
    """

    file_mib: Annotated[float, Field(ge=0.0625, le=1024, allow_inf_nan=False)] = 10.0
    files: Annotated[int, Field(ge=2, le=100)] = 10
    rate_kib_per_s: Annotated[int, Field(ge=1, le=1_048_576)] = 256
    burst_kib: Annotated[int, Field(ge=64, le=1_048_576)] = 4096


class JournalConfig(Table):
    """How safely transitions are stored, and how long they are kept; None keeps everything."""

    durability: Literal["power-loss", "process-crash"] = "power-loss"
    keep_events: Annotated[int, Field(ge=1)] | None = None
    keep_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
