// Counts text messages: the state is the count in decimal, the reply to the n-th text is "<n> <text>".
#include "actor.h"

static void on_event(void) {
  if (event.kind != TEXT) return;
  state = decimal(number_in(state) + 1);
  reply(TEXT, join(join(state, TEXT_OF(" ")), event.text), NONE);
}
