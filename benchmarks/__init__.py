"""What measures speed, always as ratios against a peer in the same run."""
