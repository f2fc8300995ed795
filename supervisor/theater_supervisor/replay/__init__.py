"""Running a recorded history again, away from the supervisor. Knows the journal and workers, no gateway."""
