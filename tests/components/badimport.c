// An echo that also imports an interface no worker provides.
#include "actor.h"

IMPORT("acme:shop/till", "ring") void ring(void);

static void on_event(void) {
  ring();
}
