// The peer: a Durable Object that counts every message in its storage and sends the message back.
import { DurableObject } from "cloudflare:workers";

export class Counter extends DurableObject {
  async fetch() {
    const { 0: client, 1: server } = new WebSocketPair();
    server.accept();
    server.addEventListener("message", async ({ data }) => {
      const count = (await this.ctx.storage.get("count")) ?? 0;
      this.ctx.storage.put("count", count + 1); // the object's output gate holds the reply until it is stored
      server.send(data);
    });
    return new Response(null, { status: 101, webSocket: client });
  }
}

export default {
  fetch(request, env) {
    return env.counters.get(env.counters.idFromName("one")).fetch(request);
  },
};
