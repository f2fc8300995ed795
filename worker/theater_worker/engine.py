"""The engine: one configuration for compiling components and for running them.

Compiled code only loads into an engine configured alike, so everything that decides about it is in SETTINGS,
and compile_key() names it. What is not needed by guests, or would let two runs differ, is off.
"""

import hashlib
import json
from typing import Final

from wasmtime import Config, Engine, _ffi

SETTINGS: Final[dict[str, bool | int]] = {
    # The time limit: compiled code looks at the epoch on every loop and function entry.
    "epoch_interruption": True,
    # Twice wasmtime's default, for interpreters in the guest; far below the process's own stack, so that deep
    # recursion traps instead of ending the process, and host functions called from the deep end have room.
    "max_wasm_stack": 1 << 20,
    # The same bits on every run and machine.
    "cranelift_nan_canonicalization": True,
    "wasm_relaxed_simd_deterministic": True,
    # One actor, one thread.
    "wasm_threads": False,
    "shared_memory": False,
    # No guest language compiled to components needs wasmtime's garbage collector.
    "wasm_gc": False,
    "gc_support": False,
    # Asynchronous component functions, which actors do not have: without them a call is 0.5 µs faster.
    "concurrency_support": False,
}


def new_engine() -> Engine:
    """Build an engine with SETTINGS."""
    config = Config()
    for name, value in SETTINGS.items():
        if hasattr(Config, name):
            setattr(config, name, value)
        else:  # wasmtime-py has no property for each of the C API's settings
            getattr(_ffi, f"wasmtime_config_{name}_set")(config.ptr(), value)
    return Engine(config)


def compile_key() -> str:
    """Name wasmtime's version and SETTINGS in 16 hex digits: compiled code fits engines of the same key."""
    # Only the compiler asks, and importing this would be a tenth of a worker's start.
    from importlib.metadata import version

    identity = json.dumps([version("wasmtime"), SETTINGS], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
