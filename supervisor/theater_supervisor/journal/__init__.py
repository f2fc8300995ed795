"""Chain and state on disk. Knows neither gateway nor actor."""
