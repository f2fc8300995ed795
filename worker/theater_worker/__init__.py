"""The worker process: runs one actor's component. Blocking code, no trio; wasmtime lives here."""
