"""One actor and its worker process: deliveries, results, restarts."""
