// The echo actor in JavaScript.
export const websocketServer = {
  handleMessage(state, [message]) {
    const echoed = message.ty === "text" || message.ty === "binary";
    return [state, [{ messages: echoed ? [message] : [] }]];
  },
};
