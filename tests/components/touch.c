// Changes one byte of its state with every event and answers nothing. What the benchmarks give large states.
#include "actor.h"

static void on_event(void) {
  if (state.size) ((u8 *)state.at)[0] ^= 1;
}
