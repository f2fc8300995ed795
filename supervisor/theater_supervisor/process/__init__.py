"""One worker process: how it is started, what holds it, and what its end says."""
