// The canonical ABI of an actor of interface 2 in plain C: what wit-bindgen would generate, small enough to read.
//
// An actor defines on_event(), which looks at `now`, `state` and `event`, appends effects and may replace `state` or
// call fail(). Memory is a bump allocator that starts again once the host has read a result (post-return).
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

typedef struct { const void *at; u32 size; } span;  // string, list
typedef struct { u8 some; span span; } option;      // option<string>, option<list<u8>>
typedef struct { u8 some; u64 number; } option_number;
#define TEXT(literal) ((span){literal, sizeof(literal) - 1})

enum { CONFIGURE, CONNECT, MESSAGE, DISCONNECT, TIMER };
typedef struct {
  u8 kind;  // the host writes only one byte of it
  union {
    struct { span actor; option key; span config; } configure;
    struct {
      u64 id;
      span path; option query; span headers, subprotocols;
      struct { u8 some; span subject, claims; } identity;
      option remote;
    } connect;
    struct { u64 id; span attachment; u8 is_binary; span data; } message;
    struct { u64 id; span attachment; u16 code; span reason; u8 clean, by; } disconnect;
    struct { span name; u64 due; } timer;
  };
} event_of;

enum { TO_CONNECTION, TO_CONNECTIONS, TO_ROOM, TO_EVERYONE };
typedef struct { u8 kind; union { u64 id; span ids; span room; }; } target;

enum { ACCEPT, REFUSE, SEND, CLOSE, JOIN, LEAVE, ATTACH, SET_TIMER, CANCEL_TIMER };
typedef struct {
  u8 kind;
  union {
    struct { option subprotocol; } accept;
    struct { u16 status; span body; } refuse;
    struct { target to; span without; u8 is_binary; span data; u8 is_volatile; } send;
    struct { target to; u16 code; span reason; } close;
    struct { u64 id; span text; } named;  // join, leave, attach
    struct { span name; u64 at; option_number every; } set_timer;
    struct { span name; } cancel_timer;
  };
} effect;

static u64 now;
static option state;
static u32 state_is_new;
static event_of event;

static void on_event(void);

// --- memory -------------------------------------------------------------------------------------------

extern u8 __heap_base;
static u32 heap_top;

static void *allocate(u32 size) {
  if (!heap_top) heap_top = (u32)&__heap_base;
  u32 start = (heap_top + 7) & ~7u;
  u64 end = (u64)start + size, have = __builtin_wasm_memory_size(0);
  if (end > have << 16) {
    if (end > 0xfff00000u) __builtin_trap();
    if (__builtin_wasm_memory_grow(0, ((end + 65535) >> 16) - have) == (__SIZE_TYPE__)-1) __builtin_trap();
  }
  heap_top = (u32)end;
  return (void *)start;
}

EXPORT("cabi_realloc") void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
  (void)align;
  void *fresh = allocate(size);
  if (old) __builtin_memcpy(fresh, old, old_size);
  return fresh;
}

int memcmp(const void *left, const void *right, __SIZE_TYPE__ size) {
  const u8 *a = left, *b = right;
  for (; size; size--, a++, b++)
    if (*a != *b) return *a - *b;
  return 0;
}

// --- texts --------------------------------------------------------------------------------------------

static int is(span text, span other) {
  return text.size == other.size && !__builtin_memcmp(text.at, other.at, other.size);
}

static int starts_with(span text, span prefix, span *rest) {
  if (text.size < prefix.size || __builtin_memcmp(text.at, prefix.at, prefix.size)) return 0;
  *rest = (span){(const u8 *)text.at + prefix.size, text.size - prefix.size};
  return 1;
}

static span first_word(span text, span *rest) {
  const u8 *at = text.at;
  u32 size = 0;
  while (size < text.size && at[size] != ' ') size++;
  u32 used = size < text.size ? size + 1 : size;
  *rest = (span){at + used, text.size - used};
  return (span){at, size};
}

static u64 number_in(span text) {
  u64 number = 0;
  for (u32 i = 0; i < text.size; i++) number = number * 10 + (((const u8 *)text.at)[i] - '0');
  return number;
}

static span join_texts(span a, span b) {
  u8 *out = allocate(a.size + b.size);
  __builtin_memcpy(out, a.at, a.size);
  __builtin_memcpy(out + a.size, b.at, b.size);
  return (span){out, a.size + b.size};
}

static span decimal(u64 number) {
  u8 *out = allocate(20), *at = out + 20;
  do *--at = '0' + number % 10; while (number /= 10);
  return (span){at, (u32)(out + 20 - at)};
}

// --- results ------------------------------------------------------------------------------------------

static struct { u32 is_err; union { struct { u32 replace; span state, effects; } ok; span err; }; } result;
static u32 effects_room;

static effect *append(u32 kind) {
  span *effects = &result.ok.effects;
  if (effects->size == effects_room) {
    effect *grown = allocate((effects_room = effects_room ? effects_room * 2 : 8) * sizeof(effect));
    __builtin_memcpy(grown, effects->at, effects->size * sizeof(effect));
    effects->at = grown;
  }
  effect *next = (effect *)effects->at + effects->size++;
  __builtin_memset(next, 0, sizeof *next);
  next->kind = kind;
  return next;
}

static void send(target to, span text) {
  effect *next = append(SEND);
  next->send.to = to;
  next->send.without = (span){(void *)8, 0};
  next->send.data = text;
}

static void named(u32 kind, u64 id, span text) {
  effect *next = append(kind);
  next->named.id = id;
  next->named.text = text;
}

static void replace_state(span with) {
  state = (option){1, with};
  state_is_new = 1;
}

static void fail(span reason) {
  result.is_err = 1;
  result.err = reason;
}

#ifndef HANDLE
#define HANDLE "ntwk:theater/handler@2.0.0#handle"
#endif

typedef struct { u64 now; option state; event_of event; } parameters;

EXPORT(HANDLE) void *handle(parameters *given) {
  now = given->now;
  state = given->state;
  event = given->event;
  state_is_new = effects_room = 0;
  __builtin_memset(&result, 0, sizeof result);
  result.ok.effects.at = (void *)8;
  on_event();
  if (!result.is_err && state_is_new) {
    result.ok.replace = 1;
    result.ok.state = state.span;
  }
  return &result;
}

EXPORT("cabi_post_" HANDLE) void release(void *returned) {
  (void)returned;
  heap_top = 0;
}
