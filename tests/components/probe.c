// Misbehaves on command: a text names what to do, see on_command(). Binary comes back as it is, ping and pong
// are reported as text in hex, and a close event gets a reply it must not have.
#include "actor.h"

IMPORT("ntwk:theater/runtime", "log") void host_log(const u8 *at, u32 size);

static octets hex(octets data) {
  u8 *out = allocate(data.size * 2);
  for (u32 i = 0; i < data.size * 2; i++) {
    u32 nibble = data.at[i / 2] >> (i % 2 ? 0 : 4) & 15;
    out[i] = nibble < 10 ? '0' + nibble : 'a' + nibble - 10;
  }
  return (octets){1, out, data.size * 2};
}

static octets filled(u32 size) {
  u8 *out = allocate(size);
  __builtin_memset(out, 'x', size);
  return (octets){1, out, size};
}

static void spin(void) {
  for (volatile u32 turns = 0;; turns++) {}
}

static void grow_until_refused(void) {
  while (__builtin_wasm_memory_grow(0, 16) != (__SIZE_TYPE__)-1) {}
  __builtin_trap();
}

__attribute__((noinline, optnone)) static u32 recurse(u32 depth) {
  return recurse(depth + 1) + depth;
}

static void one_of_each(void) {
  reply(TEXT, TEXT_OF("one"), NONE);
  reply(CONNECT, TEXT_OF("refused"), NONE);
  reply(TEXT, NONE, NONE);
  reply(BINARY, NONE, NONE);
  reply(BINARY, NONE, (octets){1, (const u8 *)"\0\xff", 2});
  reply(PING, NONE, TEXT_OF("pi"));
  reply(PONG, NONE, NONE);
  reply(PING, NONE, filled(126));
  reply(TEXT, TEXT_OF(""), NONE);
  reply(CLOSE, NONE, NONE);
  reply(TEXT, TEXT_OF("after close"), NONE);
}

static void on_command(octets command) {
  octets rest;
  if (starts_with(command, TEXT_OF("spin"), &rest)) spin();
  else if (starts_with(command, TEXT_OF("trap"), &rest)) __builtin_trap();
  else if (starts_with(command, TEXT_OF("err "), &rest)) fail(rest);
  else if (starts_with(command, TEXT_OF("grow"), &rest)) grow_until_refused();
  else if (starts_with(command, TEXT_OF("hog "), &rest)) filled(number_in(rest) << 20);
  else if (starts_with(command, TEXT_OF("recurse"), &rest)) reply(TEXT, decimal(recurse(1)), NONE);
  else if (starts_with(command, TEXT_OF("state "), &rest)) state = filled(number_in(rest));
  else if (starts_with(command, TEXT_OF("none"), &rest)) state = NONE;
  else if (starts_with(command, TEXT_OF("log "), &rest)) host_log(rest.at, rest.size);
  else if (starts_with(command, TEXT_OF("replies"), &rest)) one_of_each();
  else if (starts_with(command, TEXT_OF("many "), &rest))
    for (u32 i = number_in(rest); i; i--) reply(TEXT, TEXT_OF("one of many"), NONE);
  else if (starts_with(command, TEXT_OF("misplaced"), &rest)) reply(TEXT, NONE, TEXT_OF("bytes"));
  else if (starts_with(command, TEXT_OF("badutf8"), &rest)) reply(TEXT, TEXT_OF("\xff\xfe"), NONE);
  else reply(TEXT, command, NONE);
}

static void on_event(void) {
  switch (event.kind) {
    case TEXT: on_command(event.text); break;
    case BINARY: reply(BINARY, NONE, event.data); break;
    case PING: reply(TEXT, join(TEXT_OF("ping "), hex(event.data)), NONE); break;
    case PONG: reply(TEXT, join(TEXT_OF("pong "), hex(event.data)), NONE); break;
    case CLOSE: reply(TEXT, TEXT_OF("closed"), NONE); break;
  }
}
