// Answers with the result it is told to, however malformed: binary data is an offset (a word) and what to put
// into `area`; the result is then said to be at area + offset. A text is answered with the area's address.
// Malformed results can so be written down, and generated, by tests.
#define RESULT_POINTER result_pointer
static void *result_pointer;
#include "actor.h"

static _Alignas(16) u8 area[16384];

static void on_event(void) {
  result_pointer = &result;
  if (event.kind == TEXT) reply(TEXT, decimal((u32)area), NONE);
  if (event.kind != BINARY) return;
  if (event.data.size < 4 || event.data.size - 4 > sizeof area) __builtin_trap();
  u32 offset;
  __builtin_memcpy(&offset, event.data.at, 4);
  __builtin_memcpy(area, event.data.at + 4, event.data.size - 4);
  result_pointer = (void *)((u32)area + offset);
}
