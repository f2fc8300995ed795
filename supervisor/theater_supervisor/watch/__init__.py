"""What is seen from outside: status, metrics, the event log, notices to systemd."""
