// Exports init as well: the first state is the actor's name; a name that starts with "bad" is refused.
// Every text is answered with the state.
#include "actor.h"

static void on_event(void) {
  if (event.kind == TEXT) reply(TEXT, state, NONE);
}

#define INIT "ntwk:theater/actor#init"

EXPORT(INIT) void *init(OCTETS(before), const u8 *name_at, u32 name_size) {
  octets name = {1, name_at, name_size}, rest;
  begin(TAKE(before));
  if (starts_with(name, TEXT_OF("bad"), &rest)) fail(join(TEXT_OF("refusing to be called "), name));
  else result.ok.state = name;
  return &result;
}

EXPORT("cabi_post_" INIT) void release_init(void *returned) { release(returned); }
