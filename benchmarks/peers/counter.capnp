# The peer: workerd with one SQLite-backed Durable Object, its storage a directory on the local disk.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .counter),
    (name = "disk", disk = (writable = true)),  # its path comes from the command line
  ],
  sockets = [(name = "workerd", address = "127.0.0.1:0", http = (), service = "main")],
);

const counter :Workerd.Worker = (
  modules = [(name = "counter.js", esModule = embed "counter.js")],
  compatibilityDate = "2026-11-01",
  durableObjectNamespaces = [(className = "Counter", uniqueKey = "counter", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [(name = "counters", durableObjectNamespace = "Counter")],
);
