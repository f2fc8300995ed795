// The shim: a core module beside the actor's own that hands strings to it, and its results back as strings.
//
// It has a memory of its own (memory.wat), into which the host's strings are lowered, moves bytes between that
// and the actor's memory, and calls the actor's core functions by the canonical ABI, with the checks that
// lifting handle-message's result would make. UTF-8 alone is checked by the host, when it lifts the answer.
//
// call: func(flags: u32, state: string, text: string, data: string) -> tuple<string, string>
//   flags   1 there is a state, 2 a text, 4 data; 8 the state is in hex, 16 it is the kept one and not sent,
//           32 the data is in hex, 64 forget the kept state; the message's kind << 8. Bytes that are not ASCII
//           travel in hex.
//   result  the new state, if it is sent, and one of these answers (numbers have 8 hex digits):
//     "0" ok: "0" no state | "1" as it is | "2" in hex | "3" the kept one, not sent | "4" as it is, "5" in hex,
//         between the begin and the end of the kept one; the number of messages; with "4" and "5" the sizes of
//         begin and end; and of each message: '0' + its kind, '0' + flags (1 text, 2 data, 4 data in hex, 8 a payload), the sizes of
//         text and data as they follow, data, text, and with a payload its size and itself
//     "1" the actor's error: its text
//     "2" a malformed result: what is wrong (see fault), the value and its limit
// The kept state is the last bytes that went through call, in or out, as a state; at first, and when forgotten,
// no bytes.
//
// build.sh makes core.wat of this file.
#include <wasm_simd128.h>

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

// memory.wat: the actor's memory.
IMPORT("memory", "write") void actor_write(u32 to, const void *from, u32 size);
IMPORT("memory", "read") void actor_read(void *to, u32 from, u32 size);
IMPORT("memory", "word") u32 actor_word(u32 at);
IMPORT("memory", "same") u32 actor_same(u32 at, const void *with, u32 size);  // size a multiple of 64, not 0
IMPORT("memory", "pages") u32 actor_pages(void);
// The actor's own functions.
IMPORT("actor", "realloc") u32 actor_realloc(u32 old, u32 old_size, u32 align, u32 size);
IMPORT("actor", "release") void actor_release(u32 result);
// layout.py: how the actor spells a message.
IMPORT("message", "handle")
u32 actor_handle(u32 has_state, u32 state, u32 state_size, u32 kind, u32 has_text, u32 text, u32 text_size,
                 u32 has_data, u32 data, u32 data_size);
IMPORT("message", "size") u32 message_size(void);
IMPORT("message", "kind-at") u32 kind_at(void);
IMPORT("message", "text-at") u32 text_at(void);
IMPORT("message", "data-at") u32 data_at(void);
IMPORT("message", "kinds") u32 kinds(void);
IMPORT("message", "payloads") u32 payloads(void);  // one bit for each kind that has a string with it

enum {
  HAS_STATE = 1, HAS_TEXT = 2, HAS_DATA = 4, STATE_IN_HEX = 8, STATE_IS_KEPT = 16, DATA_IN_HEX = 32,
  FORGET_KEPT = 64
};
enum { WITH_TEXT = 1, WITH_DATA = 2, WITH_HEX = 4, WITH_PAYLOAD = 8 };

// --- memory: the kept state, and above it what lives for one call ---------------------------------------

extern u8 __heap_base;
static struct { u8 *at; u32 size; } kept;
static u8 *top;

static u8 *allocate(u32 size) {
  if (!top) top = kept.at = &__heap_base;
  u8 *start = top;
  u64 end = (u64)(u32)start + size, have = __builtin_wasm_memory_size(0);
  if (end > have << 16) {
    if (end > 0xfff00000u) __builtin_trap();
    if (__builtin_wasm_memory_grow(0, ((end + 65535) >> 16) - have) == (__SIZE_TYPE__)-1) __builtin_trap();
  }
  top = (u8 *)(u32)end;
  return start;
}

static void release_all_but_kept(void) { top = kept.at + kept.size; }

// Where the host puts the strings of a call, before the call. It only ever asks for fresh memory.
EXPORT("cabi_realloc") void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
  (void)old_size, (void)align;
  if (old) __builtin_trap();
  return allocate(size);
}

// --- hex, 16 bytes at a time ----------------------------------------------------------------------------

static const u8 DIGITS[] = "0123456789abcdef";

static int is_ascii(const u8 *at, u32 size) {
  v128_t seen = wasm_i8x16_splat(0);
  u32 i = 0;
  for (; i + 16 <= size; i += 16) seen = wasm_v128_or(seen, wasm_v128_load(at + i));
  u8 rest = 0;
  for (; i < size; i++) rest |= at[i];
  return rest < 128 && !wasm_i8x16_bitmask(seen);
}

// `from` may end where `to` ends: what is written never overtakes what is read.
static void to_hex(u8 *to, const u8 *from, u32 size) {
  const v128_t digits = wasm_v128_load(DIGITS), low_nibble = wasm_i8x16_splat(15);
  u32 i = 0;
  for (; i + 16 <= size; i += 16, to += 32) {
    v128_t octets = wasm_v128_load(from + i);
    v128_t high = wasm_i8x16_swizzle(digits, wasm_u8x16_shr(octets, 4));
    v128_t low = wasm_i8x16_swizzle(digits, wasm_v128_and(octets, low_nibble));
    wasm_v128_store(to, wasm_i8x16_shuffle(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
    wasm_v128_store(to + 16,
                    wasm_i8x16_shuffle(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
  }
  for (; i < size; i++) {
    u8 octet = from[i];
    *to++ = DIGITS[octet >> 4];
    *to++ = DIGITS[octet & 15];
  }
}

static u8 nibble(u8 digit) { return (digit & 15) + (digit > '9' ? 9 : 0); }

static v128_t nibbles(v128_t digits) {
  v128_t letters = wasm_u8x16_gt(digits, wasm_i8x16_splat('9'));
  return wasm_i8x16_add(wasm_v128_and(digits, wasm_i8x16_splat(15)), wasm_v128_and(letters, wasm_i8x16_splat(9)));
}

static v128_t joined(v128_t pairs) {
  v128_t high = wasm_i16x8_shl(wasm_v128_and(pairs, wasm_i16x8_splat(255)), 4);
  return wasm_v128_or(high, wasm_u16x8_shr(pairs, 8));
}

// The host's own hex, of `size` bytes. `to` may be below or at `from`.
static void from_hex(u8 *to, const u8 *from, u32 size) {
  u32 i = 0;
  for (; i + 16 <= size; i += 16) {
    v128_t first = joined(nibbles(wasm_v128_load(from + 2 * i)));
    v128_t second = joined(nibbles(wasm_v128_load(from + 2 * i + 16)));
    wasm_v128_store(to + i, wasm_u8x16_narrow_i16x8(first, second));
  }
  for (; i < size; i++) to[i] = (u8)(nibble(from[2 * i]) << 4 | nibble(from[2 * i + 1]));
}

// --- into the actor -------------------------------------------------------------------------------------

static void keep(const u8 *from, u32 size, u32 in_hex) {
  kept.size = in_hex ? size / 2 : size;
  if (in_hex) from_hex(kept.at, from, kept.size);
  else __builtin_memmove(kept.at, from, size);
}

// Copies into memory that the actor then owns, as lowering does: also when there is nothing to copy.
static u32 give(const u8 *from, u32 size) {
  u32 to = actor_realloc(0, 0, 1, size);
  actor_write(to, from, size);
  return to;
}

// --- out of the actor -----------------------------------------------------------------------------------

// The first thing wrong with a result; from then on everything in it counts as empty.
// 'a' return pointer not aligned, 'p' pointer, 'l' list or 's' string out of bounds, 'e' list not aligned,
// 'd' a discriminant (value) not below limit.
static struct { u8 what; u32 value, limit; } fault;

typedef struct { u32 at, size; } span;  // in the actor's memory
typedef struct { u32 some; span span; } option;

static void blame(u8 what, u32 value, u32 limit) {
  if (!fault.what) fault.what = what, fault.value = value, fault.limit = limit;
}

static int is_inside(u32 at, u64 size) { return at + size <= (u64)actor_pages() << 16; }

static u32 discriminant(u32 at, u32 limit) {
  u32 value = actor_word(at) & 255;
  if (value < limit) return value;
  blame('d', value, limit);
  return 0;
}

static span span_at(u32 at, u32 element_size, u8 what) {
  span found = {actor_word(at), actor_word(at + 4)};
  if (is_inside(found.at, (u64)found.size * element_size)) return found;
  blame(what, 0, 0);
  return (span){0, 0};
}

static option option_at(u32 at, u8 what) {
  if (!discriminant(at, 2)) return (option){0, {0, 0}};
  return (option){1, span_at(at + 4, 1, what)};
}

// --- the answer, which grows at `top` -------------------------------------------------------------------

static u8 *write_number(u8 *to, u32 number) {
  for (int shift = 28; shift >= 0; shift -= 4) *to++ = DIGITS[number >> shift & 15];
  return to;
}

static u8 *take(span from) {
  u8 *to = allocate(from.size);
  actor_read(to, from.at, from.size);
  return to;
}

// Returns whether it took them in hex.
static u32 take_data(span from) {
  u8 *data = take(from);
  if (is_ascii(data, from.size)) return 0;
  // In place: the bytes move to the end of their room, and the hex overtakes them there.
  allocate(from.size);
  actor_read(data + from.size, from.at, from.size);
  to_hex(data, data + from.size, from.size);
  return 1;
}

static void take_message(u32 at) {
  u32 kind = discriminant(at + kind_at(), kinds());
  span payload = {0, 0};
  u32 flags = payloads() >> kind & 1 ? WITH_PAYLOAD : 0;
  if (flags) payload = span_at(at + kind_at() + 4, 1, 's');
  option text = option_at(at + text_at(), 's'), data = option_at(at + data_at(), 'l');
  u8 *head = allocate(18), *begin = top;
  if (data.some) flags |= WITH_DATA | (take_data(data.span) ? WITH_HEX : 0);
  u32 data_size = (u32)(top - begin);
  if (text.some) flags |= WITH_TEXT, take(text.span);
  if (flags & WITH_PAYLOAD) write_number(allocate(8), payload.size), take(payload);
  *head++ = (u8)('0' + kind);
  *head++ = (u8)('0' + flags);
  write_number(write_number(head, text.span.size), data_size);
}

// A state is compared from behind, since it was copied to the actor from the front: what was touched last is still
// in the processor's cache, and the next copy meets what the comparison touched last. Where a core's cache is about
// as large as the state in both memories, a call takes 13 to 25 % less; elsewhere it makes no difference.
static const u32 PART = 4096;

static u32 shorter(span state) { return state.size < kept.size ? state.size : kept.size; }

// For less than a part, which actor_same has no steps for.
static int is_same_rest(u32 at, const u8 *with, u32 size) {
  u8 *rest = top;
  allocate(PART);
  top = rest;
  actor_read(rest, at, size);
  return !__builtin_memcmp(rest, with, size);
}

// How much of the end of both is alike: whole parts, or all of the shorter one.
static u32 common_end(span state) {
  u32 most = shorter(state), size = 0, at = state.at + state.size;
  const u8 *with = kept.at + kept.size;
  while (most - size >= PART && actor_same(at - size - PART, with - size - PART, PART)) size += PART;
  return most - size < PART && is_same_rest(at - most, with - most, most - size) ? most : size;
}

// How much of the begin of both is alike, without their common end: whole parts, or all that is left.
static u32 common_begin(span state, u32 end) {
  u32 most = shorter(state) - end, size = 0;
  while (most - size >= PART && actor_same(state.at + size, kept.at + size, PART)) size += PART;
  return most - size < PART && is_same_rest(state.at + size, kept.at + size, most - size) ? most : size;
}

int memcmp(const void *left, const void *right, __SIZE_TYPE__ size) {
  const u8 *a = left, *b = right;
  u32 i = 0;
  for (; i + 16 <= size; i += 16)
    if (!wasm_i8x16_all_true(wasm_i8x16_eq(wasm_v128_load(a + i), wasm_v128_load(b + i)))) return 1;
  for (; i < size; i++)
    if (a[i] != b[i]) return 1;
  return 0;
}

static struct { u8 *state; u32 state_size; u8 *text; u32 text_size; } answer;
static struct { u32 begin, end; } common;

// Keeps a state that is new and says how the host gets it. What it shares with the kept one is not sent, for that
// is what most events leave most of a large state as: 1 MiB in hex takes the host 1 to 2 ms.
static u8 take_state(option state) {
  if (!state.some) return '0';
  u32 size = state.span.size, end = common_end(state.span);
  if (end == size && size == kept.size) return '3';
  u32 begin = common_begin(state.span, end), between = size - begin - end;
  top = kept.at;
  allocate(size);
  // An end that stays where it was need not be copied.
  actor_read(kept.at + begin, state.span.at + begin, size == kept.size ? between : size - begin);
  kept.size = size;
  common.begin = begin, common.end = end;
  u8 how = begin || end ? '4' : '1';
  answer.state = kept.at + begin, answer.state_size = between;
  if (is_ascii(answer.state, between)) return how;
  answer.state_size = between * 2;
  if (between > answer.state_size) __builtin_trap();
  to_hex(answer.state = allocate(answer.state_size), kept.at + begin, between);
  return how + 1;
}

static void take_ok(u32 at) {
  option state = option_at(at, 'l');
  span messages = span_at(at + 12, message_size(), 'l');
  if (messages.at & 3) blame('e', 0, 0);
  u8 how = fault.what ? '0' : take_state(state);
  u8 *head = answer.text = allocate(10);
  *head++ = '0';
  *head++ = how;
  write_number(head, messages.size);
  if (how >= '4') write_number(write_number(allocate(16), common.begin), common.end);
  for (u32 i = 0; i < messages.size && !fault.what; i++) take_message(messages.at + i * message_size());
}

static void take_err(u32 at) {
  span text = span_at(at, 1, 's');
  *(answer.text = allocate(1)) = '1';
  take(text);
}

static void take_result(u32 at) {
  if (at & 3) return blame('a', 0, 0);
  if (!is_inside(at, 24)) return blame('p', 0, 0);
  if (discriminant(at, 2)) take_err(at + 4);
  else take_ok(at + 4);
}

static void report_fault(void) {
  u8 *to = answer.text = allocate(18);
  answer.state_size = 0;
  *to++ = '2';
  *to++ = fault.what;
  write_number(write_number(to, fault.value), fault.limit);
}

EXPORT("call")
void *call(u32 flags, u8 *state, u32 state_size, u8 *text, u32 text_size, u8 *data, u32 data_size) {
  u32 has_state = flags & HAS_STATE, has_text = flags >> 1 & 1, has_data = flags >> 2 & 1;
  u32 given_state = 0, given_text = 0, given_data = 0;
  if (flags & FORGET_KEPT) kept.size = 0;
  if (has_state) {
    if (!(flags & STATE_IS_KEPT)) keep(state, state_size, flags & STATE_IN_HEX);
    given_state = give(kept.at, kept.size);
  }
  if (flags & DATA_IN_HEX) from_hex(data, data, data_size /= 2);
  // In the order of the actor's parameters, so that it sees the same addresses as without the shim.
  if (has_data && data_at() < text_at()) given_data = give(data, data_size);
  if (has_text) given_text = give(text, text_size);
  if (has_data && data_at() > text_at()) given_data = give(data, data_size);
  u32 result = actor_handle(has_state, given_state, has_state ? kept.size : 0, flags >> 8, has_text, given_text,
                            text_size, has_data, given_data, data_size);
  release_all_but_kept();
  answer.state_size = 0;
  fault.what = 0;
  take_result(result);
  if (fault.what) report_fault();
  answer.text_size = (u32)(top - answer.text);
  if (!fault.what) actor_release(result);
  // The answer stays readable until the next call's strings come.
  release_all_but_kept();
  return &answer;
}
