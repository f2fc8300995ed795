"""What an operator touches. May look at everything; nobody imports it."""
