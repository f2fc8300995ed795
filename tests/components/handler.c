// An actor of interface 2 that does what a message says, for tests: one command a message, its words apart by a space.
#include "handler.h"

IMPORT("ntwk:theater/view@2.0.0", "count") u32 view_count(u32 some, const void *at, u32 size);
IMPORT("ntwk:theater/view@2.0.0", "members")
void view_members(u32 some, const void *at, u32 size, u64 after, u32 limit, span *members);
IMPORT("ntwk:theater/view@2.0.0", "rooms-of") void view_rooms_of(u64 id, span *rooms);
IMPORT("ntwk:theater/view@2.0.0", "timer") void view_timer(const void *at, u32 size, option_number *due);
IMPORT("ntwk:theater/log@2.0.0", "log") void log_line(u32 level, const void *at, u32 size);

static const target EVERYONE = {.kind = TO_EVERYONE};

static target to(u64 id) { return (target){.kind = TO_CONNECTION, .id = id}; }
static target to_room(span room) { return (target){.kind = TO_ROOM, .room = room}; }

static span members_of(span room) {
  struct { u64 id; span attachment; } *each;
  span members, told = TEXT("");
  view_members(room.size != 0, room.at, room.size, 0, 256, &members);
  each = (void *)members.at;
  for (u32 i = 0; i < members.size; i++) {
    told = join_texts(told, decimal(each[i].id));
    told = join_texts(told, TEXT(":"));
    told = join_texts(told, each[i].attachment);
    told = join_texts(told, TEXT(" "));
  }
  return told;
}

static span rooms_of(u64 id) {
  span rooms, told = TEXT("");
  view_rooms_of(id, &rooms);
  for (u32 i = 0; i < rooms.size; i++) told = join_texts(join_texts(told, ((span *)rooms.at)[i]), TEXT(" "));
  return told;
}

static void on_message(u64 id, span text) {
  span rest, word;
  if (starts_with(text, TEXT("all "), &rest)) send(EVERYONE, rest);
  else if (starts_with(text, TEXT("room "), &rest)) word = first_word(rest, &rest), send(to_room(word), rest);
  else if (starts_with(text, TEXT("others "), &rest)) {
    u64 *ids = allocate(8);
    *ids = id;
    send(EVERYONE, rest);
    ((effect *)result.ok.effects.at)[0].send.without = (span){ids, 1};
    ((effect *)result.ok.effects.at)[0].send.is_volatile = 1;
  }
  else if (starts_with(text, TEXT("join "), &rest)) named(JOIN, id, rest);
  else if (starts_with(text, TEXT("leave "), &rest)) named(LEAVE, id, rest);
  else if (starts_with(text, TEXT("attach "), &rest)) named(ATTACH, id, rest);
  else if (starts_with(text, TEXT("every "), &rest)) {
    effect *next = append(SET_TIMER);
    next->set_timer.name = TEXT("tick");
    next->set_timer.at = now + number_in(rest);
    next->set_timer.every = (option_number){1, number_in(rest)};
  }
  else if (starts_with(text, TEXT("timer "), &rest)) {
    effect *next = append(SET_TIMER);
    next->set_timer.name = first_word(rest, &rest);
    next->set_timer.at = now + number_in(rest);
  }
  else if (starts_with(text, TEXT("cancel "), &rest)) append(CANCEL_TIMER)->cancel_timer.name = rest;
  else if (starts_with(text, TEXT("close "), &rest)) {
    effect *next = append(CLOSE);
    next->close.to = to(id);
    next->close.code = (u16)number_in(rest);
    next->close.reason = TEXT("as you say");
  }
  else if (starts_with(text, TEXT("many "), &rest)) for (u64 i = number_in(rest); i; i--) send(to(id), decimal(i));
  else if (starts_with(text, TEXT("set "), &rest)) replace_state(rest);
  else if (starts_with(text, TEXT("log "), &rest)) log_line(2, rest.at, rest.size);
  else if (starts_with(text, TEXT("err "), &rest)) fail(rest);
  else if (starts_with(text, TEXT("trap"), &rest)) __builtin_trap();
  else if (starts_with(text, TEXT("spin"), &rest)) for (;;) __asm__ volatile("");
  else if (starts_with(text, TEXT("count"), &rest)) send(to(id), decimal(view_count(0, 0, 0)));
  else if (starts_with(text, TEXT("members"), &rest)) send(to(id), members_of(rest.size ? (span){(u8 *)rest.at + 1, rest.size - 1} : rest));
  else if (starts_with(text, TEXT("rooms"), &rest)) send(to(id), rooms_of(id));
  else if (starts_with(text, TEXT("due "), &rest)) {
    option_number due;
    view_timer(rest.at, rest.size, &due);
    send(to(id), due.some ? decimal(due.number) : TEXT("never"));
  }
  else if (starts_with(text, TEXT("state"), &rest)) send(to(id), state.some ? state.span : TEXT("none"));
  else if (starts_with(text, TEXT("who"), &rest)) send(to(id), event.message.attachment);
  else send(to(id), text);
}

static void on_connect(void) {
  span rest, path = event.connect.path;
  if (is(path, TEXT("/refuse"))) {
    effect *next = append(REFUSE);
    next->refuse.status = 403;
    next->refuse.body = TEXT("not here");
    return;
  }
  if (is(path, TEXT("/trap"))) __builtin_trap();
  if (is(path, TEXT("/plain"))) return;
  effect *next = append(ACCEPT);
  if (event.connect.subprotocols.size)
    next->accept.subprotocol = (option){1, *(span *)event.connect.subprotocols.at};
  if (starts_with(path, TEXT("/"), &rest) && rest.size) named(JOIN, event.connect.id, rest);
  named(ATTACH, event.connect.id, event.connect.identity.some ? event.connect.identity.subject : TEXT("guest"));
  send(to(event.connect.id), join_texts(TEXT("hello "), decimal(event.connect.id)));
}

static void on_event(void) {
  switch (event.kind) {
    case CONFIGURE: replace_state(event.configure.actor); break;
    case CONNECT: on_connect(); break;
    case MESSAGE:
      if (event.message.is_binary) {
        send(to(event.message.id), event.message.data);
        ((effect *)result.ok.effects.at)[0].send.is_binary = 1;
      } else on_message(event.message.id, event.message.data);
      break;
    case DISCONNECT: send(EVERYONE, join_texts(event.disconnect.attachment, TEXT(" left"))); break;
    case TIMER: send(EVERYONE, event.timer.name); break;
  }
}
