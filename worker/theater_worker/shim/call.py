"""The route through an injected shim: one call of wasmtime's C API, its arguments kept from call to call.

wasmtime-py's own `Func.__call__` reads the function's type and allocates anew on every call, which costs ten
times as much as the call itself. Here ctypes is used without its checks, so whatever is wrong in this file
ends the process instead of raising: the comments say what keeps it right. The strings' contents are core.c's
protocol.
"""

import ctypes
import struct
import weakref
from binascii import hexlify, unhexlify
from typing import Any, Final

from wasmtime import Store, WasmtimeError, _bindings, _ffi
from wasmtime.component import U32, Func, FuncType, String, TupleType
from wasmtime.component._enter import enter_wasm

from theater_protocol.messages import EventKind, Limits
from theater_worker.replies import GuestMessage
from theater_worker.route import Answer, OverLimit, Route, State
from theater_worker.shim.layout import Layout

_HAS_STATE, _HAS_TEXT, _HAS_DATA, _STATE_IN_HEX, _STATE_IS_KEPT, _DATA_IN_HEX = 1, 2, 4, 8, 16, 32
_FORGET_KEPT: Final = 64
_KIND_SHIFT: Final = 8
_WITH_TEXT, _WITH_DATA, _WITH_HEX, _WITH_PAYLOAD = 1, 2, 4, 8
_FAULTS: Final = {
    "a": "return pointer not aligned",
    "p": "pointer out of bounds of memory",
    "l": "list pointer/length out of bounds of memory",
    "s": "string pointer/length out of bounds of memory",
    "e": "list pointer is not aligned",
    "d": "discriminant {} out of range [0..{})",
}
_OK, _ERR = b"0"[0], b"1"[0]
_NO_STATE, _PLAIN_STATE, _HEX_STATE, _KEPT_STATE, _PLAIN_PART, _HEX_PART = b"012345"
_MESSAGES_AT: Final = 10
_PART_HEAD_BYTES: Final = 16
_ZERO: Final = b"0"[0]
_MESSAGE_OVERHEAD_BYTES: Final = 32
_ANSWER_OVERHEAD_BYTES: Final = 1 << 20  # an error string, which is shortened later


class _String(ctypes.Structure):
    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_char_p))


class _Of(ctypes.Union):
    _fields_ = (("u32", ctypes.c_uint32), ("string", _String), ("room", ctypes.c_uint64 * 3))


class _Value(ctypes.Structure):
    """wasmtime_component_val_t, with the two kinds that are used here."""

    _fields_ = (("kind", ctypes.c_uint8), ("of", _Of))


# As 8-byte words a value is: kind, then (u32 | string size), string address, unused.
_VALUE_WORDS: Final = 4
_FLAGS_WORD, _STATE_SIZE_WORD, _TEXT_SIZE_WORD, _DATA_SIZE_WORD = 1, 5, 9, 13
_two_values = struct.Struct(f"={2 * _VALUE_WORDS}Q")

# A function object of this module's own, without argtypes: ctypes then takes prepared pointers as they are,
# which saves 0.7 µs a call.
_call = _ffi.dll["wasmtime_component_func_call"]
_call.restype = ctypes.c_void_p


def is_shim(function: object) -> bool:
    """Tell whether an export has the shim's type, and values are laid out as this module takes them.

    For anything else a call would read memory that is not there.
    """
    if not isinstance(function, FuncType):
        return False
    given = [type(parameter) for _, parameter in function.params]
    result = function.result
    return (
        given == [U32, String, String, String]
        and isinstance(result, TupleType)
        and [type(element) for element in result.elements] == [String, String]
        and ctypes.sizeof(_Value) == ctypes.sizeof(_bindings.wasmtime_component_val_t) == 8 * _VALUE_WORDS
        and _bindings.wasmtime_component_val.of.offset == _Value.of.offset
    )


class ShimRoute:
    """The fast way into one instance; init, which is called once, goes by the other.

    `function` must be one that is_shim() is true of. Not for two threads.
    """

    def __init__(self, store: Store, function: Func, layout: Layout, public: Route, limits: Limits) -> None:
        self._public = public
        self._limits = limits
        # What can be told of an answer before any of it is copied; hex takes two bytes for one.
        self._max_state_size = 2 * limits.max_state_bytes
        self._max_answer_size = 2 * limits.max_reply_bytes + _MESSAGE_OVERHEAD_BYTES * limits.max_replies
        self._kinds = layout.kinds
        self._flags_of_kind = {kind: index << _KIND_SHIFT for index, kind in enumerate(layout.kinds)}
        # wasmtime only reads the arguments, so they stay this object's own; the result is overwritten, and
        # what it held is freed, by the next call.
        arguments = (_Value * 4)()
        result = (_bindings.wasmtime_component_val_t * 1)()
        arguments[0].kind = _ffi.WASMTIME_COMPONENT_U32.value
        for argument in arguments[1:]:
            argument.kind = _ffi.WASMTIME_COMPONENT_STRING.value
        # Assigning bytes to a string's `data` keeps them alive until the next assignment.
        self._state, self._text, self._data = (argument.of.string for argument in arguments[1:])
        self._words = memoryview(arguments).cast("B").cast("Q")
        self._result_words = memoryview(result).cast("B").cast("Q")
        context = ctypes.cast(store._context(), ctypes.c_void_p)
        self._prepared: tuple[Any, ...] = (
            *(ctypes.byref(function._func), context),
            *(arguments, len(arguments), result, len(result)),
        )
        # A closed store would leave the pointer to its context dangling.
        self._store = store
        weakref.finalize(self, _ffi.wasmtime_component_val_delete, ctypes.byref(result[0]))
        # The bytes that the shim keeps. It need not be given them again (64 KiB: 20 µs, in hex 150 µs).
        # A fresh one keeps no bytes, which is the empty state, not none.
        self._kept: State = b""

    def call(self, state: State, kind: EventKind, text: str | None, data: bytes | None) -> Answer:
        """See Route."""
        if kind == "init":
            return self._public.call(state, kind, text, data)
        flags = self._flags_of_kind[kind]
        words = self._words
        if self._kept is None:
            flags |= _FORGET_KEPT
            self._kept = b""
        words[_STATE_SIZE_WORD] = words[_TEXT_SIZE_WORD] = words[_DATA_SIZE_WORD] = 0
        # Strings must be UTF-8, or wasmtime aborts the process: what is not encoded from str is ASCII or hex.
        if state is not None:
            flags |= _HAS_STATE
            if state is self._kept:
                flags |= _STATE_IS_KEPT
            else:
                sent = state
                if not state.isascii():
                    flags |= _STATE_IN_HEX
                    sent = hexlify(state)
                self._state.data = sent
                words[_STATE_SIZE_WORD] = len(sent)
                self._kept = state
        if text is not None:
            flags |= _HAS_TEXT
            self._text.data = encoded = text.encode()
            words[_TEXT_SIZE_WORD] = len(encoded)
        if data is not None:
            flags |= _HAS_DATA
            if not data.isascii():
                flags |= _DATA_IN_HEX
                data = hexlify(data)
            self._data.data = data
            words[_DATA_SIZE_WORD] = len(data)
        words[_FLAGS_WORD] = flags
        if error := _call(*self._prepared):
            self._kept = None
            enter_wasm(lambda: ctypes.cast(error, ctypes.POINTER(_bindings.wasmtime_error_t)))
        return self._received()

    def _received(self) -> Answer:
        """Copy the result out and read it."""
        values = ctypes.string_at(self._result_words[2], 8 * 2 * _VALUE_WORDS)
        _, state_size, state_at, _, _, size, address, _ = _two_values.unpack(values)
        if state_size > self._max_state_size or size > self._max_answer_size + _ANSWER_OVERHEAD_BYTES:
            limits = self._limits
            raise self._refused(
                f"the answer is over the limits: {limits.max_state_bytes} bytes of state,"
                f" {limits.max_replies} replies of {limits.max_reply_bytes} bytes"
            )
        answer = ctypes.string_at(address, size)
        if answer[0] == _OK:
            count = int(answer[2:10], 16)
            if count > self._limits.max_replies:
                raise self._refused(f"{count} replies are over the limit of {self._limits.max_replies}")
            state, at = self._read_state(answer, state_at, state_size)
            return state, _read_messages(answer, at, self._kinds)
        if answer[0] == _ERR:
            return answer[1:].decode()
        self._kept = None
        raise WasmtimeError(_FAULTS[chr(answer[1])].format(int(answer[2:10], 16), int(answer[10:18], 16)))

    def _refused(self, reason: str) -> OverLimit:
        # The shim may keep the state of the answer, of which nothing is known here.
        self._kept = None
        return OverLimit(reason)

    def _read_state(self, answer: bytes, address: int, size: int) -> tuple[State, int]:
        """Return the state and where the messages begin."""
        how = answer[1]
        if how == _NO_STATE:
            return None, _MESSAGES_AT
        if how == _KEPT_STATE:
            return self._kept, _MESSAGES_AT
        sent = ctypes.string_at(address, size)
        if how in (_HEX_STATE, _HEX_PART):
            sent = unhexlify(sent)
        if how in (_PLAIN_STATE, _HEX_STATE):
            self._kept = sent
            return sent, _MESSAGES_AT
        messages_at = _MESSAGES_AT + _PART_HEAD_BYTES
        begin, end = int(answer[_MESSAGES_AT:18], 16), int(answer[18:messages_at], 16)
        assert self._kept is not None  # that the shim keeps it is known here
        self._kept = _spliced(self._kept, begin, sent, end)
        return self._kept, messages_at


def _spliced(kept: bytes, begin: int, between: bytes, end: int) -> bytes:
    """Put bytes between the first `begin` and the last `end` bytes of others."""
    with memoryview(kept) as view:
        return b"".join((view[:begin], between, view[len(kept) - end :]))


def _read_messages(answer: bytes, at: int, kinds: tuple[str, ...]) -> list[GuestMessage]:
    messages = []
    for _ in range(int(answer[2:10], 16)):
        flags = answer[at + 1]
        data_at = at + 18
        text_at = data_at + int(answer[at + 10 : data_at], 16)
        end = text_at + int(answer[at + 2 : at + 10], 16)
        text = answer[text_at:end].decode() if flags & _WITH_TEXT else None
        data = answer[data_at:text_at] if flags & _WITH_DATA else None
        if data and flags & _WITH_HEX:
            data = unhexlify(data)
        messages.append(GuestMessage(kinds[answer[at] - _ZERO], text, data))
        if flags & _WITH_PAYLOAD:
            end += 8 + int(answer[end : end + 8], 16)
        at = end
    return messages
