"""A run: its directory, its step, its loop."""
