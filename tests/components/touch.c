// Changes one byte of its state with every event, all of them with a binary message, and answers nothing. What
// the benchmarks give large states.
#include "actor.h"

static void on_event(void) {
  if (state.size) ((u8 *)state.at)[0] ^= 1;
  if (event.kind != BINARY) return;
  for (u32 at = 0; at + 8 <= state.size; at += 8) *(unsigned long long *)(state.at + at) ^= 0x0102040810204080;
}
