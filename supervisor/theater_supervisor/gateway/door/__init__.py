"""Who gets in: listeners, handshakes, logins and the places there are."""
