// The canonical ABI of an actor in plain C: what wit-bindgen would generate, small enough to read.
//
// An actor defines on_event(), which looks at `event` and `state`, calls reply() and may replace `state`
// or call fail(). Memory is a bump allocator that starts again once the host has read a result
// (post-return), so everything an event allocates lives exactly as long as it is needed.
// Define OLDER_SHAPE before including this for the interface's older spelling (wit/older.wit).
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

typedef struct { u32 some; const u8 *at; u32 size; } octets;  // option<string>, option<list<u8>>
#define NONE ((octets){0, 0, 0})
#define TEXT_OF(literal) ((octets){1, (const u8 *)(literal), sizeof(literal) - 1})

#ifdef OLDER_SHAPE
enum kind { TEXT, BINARY, CONNECT, CLOSE, PING, PONG, OTHER };
typedef struct { u32 kind; const u8 *other; u32 other_size; octets data, text; } message;
#else
enum kind { TEXT, BINARY, PING, PONG, CLOSE, CONNECT };
typedef struct { u32 kind; octets text, data; } message;
#endif

static message event;  // what happened
static octets state;   // the state before on_event(), and what it is afterwards

static void on_event(void);

// --- memory -------------------------------------------------------------------------------------------

extern u8 __heap_base;
static u32 heap_top;

static void *allocate(u32 size) {
  if (!heap_top) heap_top = (u32)&__heap_base;
  u32 start = (heap_top + 7) & ~7u;
  unsigned long long end = (unsigned long long)start + size, have = __builtin_wasm_memory_size(0);
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

// --- octets -------------------------------------------------------------------------------------------

static octets join(octets a, octets b) {
  u8 *out = allocate(a.size + b.size);
  __builtin_memcpy(out, a.at, a.size);
  __builtin_memcpy(out + a.size, b.at, b.size);
  return (octets){1, out, a.size + b.size};
}

static octets decimal(u32 number) {
  u8 *out = allocate(10), *at = out + 10;
  do *--at = '0' + number % 10; while (number /= 10);
  return (octets){1, at, (u32)(out + 10 - at)};
}

static u32 number_in(octets text) {
  u32 number = 0;
  for (u32 i = 0; i < text.size; i++) number = number * 10 + (text.at[i] - '0');
  return number;
}

static int starts_with(octets text, octets prefix, octets *rest) {
  if (text.size < prefix.size || __builtin_memcmp(text.at, prefix.at, prefix.size)) return 0;
  *rest = (octets){1, text.at + prefix.size, text.size - prefix.size};
  return 1;
}

int memcmp(const void *left, const void *right, __SIZE_TYPE__ size) {
  const u8 *a = left, *b = right;
  for (; size; size--, a++, b++)
    if (*a != *b) return *a - *b;
  return 0;
}

// --- results ------------------------------------------------------------------------------------------

static struct {
  u32 is_err;
  union {
    struct { octets state; message *messages; u32 count; } ok;
    struct { const u8 *at; u32 size; } err;
  };
} result;
static u32 room;  // messages that fit into result.ok.messages

static void reply(enum kind kind, octets text, octets data) {
  if (result.is_err) return;
  u32 count = result.ok.count;
  if (count == room) {
    message *grown = allocate((room = room ? room * 2 : 4) * sizeof(message));
    __builtin_memcpy(grown, result.ok.messages, count * sizeof(message));
    result.ok.messages = grown;
  }
  result.ok.messages[count] = (message){.kind = kind, .text = text, .data = data};
  result.ok.count = count + 1;
}

static void fail(octets reason) {
  result.is_err = 1;
  result.err.at = reason.at;
  result.err.size = reason.size;
}

static void begin(octets before) {
  state = before;
  room = 0;
  __builtin_memset(&result, 0, sizeof result);
}

#define SERVER "ntwk:theater/websocket-server#handle-message"
#define OCTETS(name) u32 name##_some, const u8 *name##_at, u32 name##_size
#define TAKE(name) ((octets){name##_some, name##_at, name##_size})

#ifdef OLDER_SHAPE
EXPORT(SERVER)
void *handle_message(OCTETS(before), u32 kind, const u8 *other, u32 other_size, OCTETS(data), OCTETS(text)) {
  event = (message){kind, other, other_size, TAKE(data), TAKE(text)};
#else
EXPORT(SERVER)
void *handle_message(OCTETS(before), u32 kind, OCTETS(text), OCTETS(data)) {
  event = (message){kind, TAKE(text), TAKE(data)};
#endif
  begin(TAKE(before));
  on_event();
  if (!result.is_err) result.ok.state = state;
  return &result;
}

EXPORT("cabi_post_" SERVER) void release(void *returned) {
  (void)returned;
  heap_top = 0;
}
