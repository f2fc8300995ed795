// The peer: an echo server of the ws package on Node, with its defaults. Prints its URL.
const { createRequire } = require("node:module");
const { WebSocketServer } = createRequire(process.argv[2] + "/")("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
server.on("listening", () => console.log(`ws on ws://127.0.0.1:${server.address().port}/`));
server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
