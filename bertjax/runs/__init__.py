"""What a run is on disk: its directory, its lock, its logs, and what other directories are."""
