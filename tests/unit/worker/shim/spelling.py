"""A component in WebAssembly text that spells its websocket-message as it is told, and echoes what it gets.

Its core code is written for the spelling, by the canonical ABI's rules and without the shim's layout.py.
"""

from collections.abc import Sequence

import wasmtime

ENUM = '(enum "text" "binary" "ping" "pong" "close" "connect")'
LONG_ENUM = '(enum "connect" "shout" "text" "whisper" "pong" "ping" "close" "binary")'
VARIANT = (
    '(variant (case "other" string) (case "text") (case "binary") (case "ping") (case "pong") (case "close")'
    ' (case "connect") (case "last" string))'
)
NUMBERED = (
    '(variant (case "text") (case "binary") (case "ping") (case "pong") (case "close") (case "connect")'
    ' (case "code" u32))'
)
CROWDED = "(enum " + " ".join(f'"k{index}"' for index in range(30)) + ENUM.removeprefix("(enum")

_OPTIONS = {"text": "(option string)", "data": "(option $octets)"}


def spelled(fields: Sequence[str], message_type: str, options: str = "", more: str = "") -> bytes:
    """Write the component: a message's fields in this order, and its `ty` of this type.

    `options` are further ones of the lift, `more` is put behind everything else.
    """
    kind_words = {"(enum": 1}.get(message_type.split()[0], 2 if "u32" in message_type else 3)
    words = {"ty": kind_words, "text": 3, "data": 3}
    stores, parameter, at = [], 3, 64
    for field in fields:
        at = at if words[field] == 1 else -(-at // 4) * 4
        for _ in range(words[field]):
            store = "i32.store8" if words[field] == 1 else "i32.store"
            stores.append(f"({store} (i32.const {at}) (local.get {parameter}))")
            parameter += 1
            at += 1 if words[field] == 1 else 4
    types = {**_OPTIONS, "ty": "$message-type"}
    record = " ".join(f'(field "{field}" {types[field]})' for field in fields)
    text = _component(message_type, record, parameter, stores)
    text = (
        text.replace("(memory (core memory", f"{options} (memory (core memory", 1).removesuffix(")")
        + more
        + ")"
    )
    return bytes(wasmtime.wat2wasm(text))


def _component(message_type: str, record: str, parameters: int, stores: list[str]) -> str:
    return f"""(component
      (core module $code
        (memory (export "memory") 4)
        (global $top (mut i32) (i32.const 1024))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
          (global.get $top)
          (global.set $top (i32.add (global.get $top) (local.get 3))))
        (func (export "number") (param i32) (result i32) (local.get 0))
        (func (export "handle") (param {"i32 " * parameters}) (result i32)
          {" ".join(stores)}
          (i32.store (i32.const 16) (i32.const 0))
          (i32.store (i32.const 20) (local.get 0))
          (i32.store (i32.const 24) (local.get 1))
          (i32.store (i32.const 28) (local.get 2))
          (i32.store (i32.const 32) (i32.const 64))
          (i32.store (i32.const 36) (i32.const 1))
          (global.set $top (i32.const 1024))
          (i32.const 16)))
      (core instance $core (instantiate $code))
      (type $state (option (list u8)))
      (import "ntwk:theater/websocket-types" (instance $types
        (type $message-type' {message_type})
        (export "message-type" (type $message-type (eq $message-type')))
        (type $octets (list u8))
        (type $message' (record {record}))
        (export "websocket-message" (type $message (eq $message')))
        (type $response' (record (field "messages" (list $message))))
        (export "websocket-response" (type (eq $response')))))
      (alias export $types "websocket-message" (type $message))
      (alias export $types "websocket-response" (type $response))
      (type $answer (result (tuple $state (tuple $response)) (error string)))
      (func $handle (param "state" $state) (param "params" (tuple $message)) (result $answer)
        (canon lift (core func $core "handle") (memory (core memory $core "memory"))
          (realloc (core func $core "realloc"))))
      (instance $server (export "handle-message" (func $handle)))
      (export "ntwk:theater/websocket-server" (instance $server)))"""
