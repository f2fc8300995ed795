// An actor of a smaller interface 2 (wit/handler_small.wit): it echoes texts, and greets with path and query.
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EXPORT(name) __attribute__((export_name(name)))
#define HANDLE "ntwk:theater/handler@2.0.0#handle"

typedef struct { const void *at; u32 size; } span;

enum { MESSAGE };
enum { REPLACE, KEEP };
typedef struct { u32 kind; struct { u32 frame; span text; struct { u32 kind; u64 id; } to; } send; } effect;

static struct { u32 is_err, update; span state, effects; } result;
static effect answer;

extern u8 __heap_base;
static u32 heap_top;

EXPORT("cabi_realloc") void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
  (void)old, (void)old_size, (void)align;
  if (!heap_top) heap_top = (u32)&__heap_base;
  u32 start = (heap_top + 7) & ~7u, end = start + size, have = __builtin_wasm_memory_size(0);
  if (end > have << 16 && __builtin_wasm_memory_grow(0, ((end + 65535) >> 16) - have) == (__SIZE_TYPE__)-1)
    __builtin_trap();
  heap_top = end;
  return (void *)start;
}

// Few enough parameters to come one by one; a case's fields share them with the other cases'.
EXPORT(HANDLE)
void *handle(u64 now, u32 has_state, const u8 *state, u32 state_size, u32 kind, u64 id,
             u32 b, u32 c, u32 d, u32 e, u32 f, u32 g, u32 h, u32 i) {
  (void)now, (void)has_state, (void)state, (void)state_size, (void)g;
  __builtin_memset(&result, 0, sizeof result);
  result.update = KEEP;
  result.effects = (span){&answer, 1};
  answer.send.to.id = id;
  if (kind == MESSAGE) answer.send.text = (span){(void *)e, f};  // after attachment (b, c) and the frame's case (d)
  else if (b && !e) answer.send.text = (span){(void *)c, d};     // a query, and no `later`
  else answer.send.text = (span){(void *)h, i};                  // the path
  return &result;
}

EXPORT("cabi_post_" HANDLE) void release(void *returned) {
  (void)returned;
  heap_top = 0;
}
