// Changes one byte of its state with every text and sends the text back. What the benchmarks count replies of.
#include "actor.h"

static void on_event(void) {
  if (event.kind != TEXT) return;
  if (state.size) ((u8 *)state.at)[0] ^= 1;
  reply(TEXT, event.text, NONE);
}
