;; Exports a handle-message of another type: a number in, a number out.
(component
  (core module $code (func (export "handle") (param i32) (result i32) (local.get 0)))
  (core instance $code (instantiate $code))
  (func $handle (param "state" u32) (result u32) (canon lift (core func $code "handle")))
  (instance $server (export "handle-message" (func $handle)))
  (export "ntwk:theater/websocket-server" (instance $server)))
