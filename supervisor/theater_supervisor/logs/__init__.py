"""A worker's lines on their way into its file: decoded, escaped, rated, rotated, within a budget for all."""
