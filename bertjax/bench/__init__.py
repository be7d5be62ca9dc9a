"""How fast a config trains here, where its time goes, and against what."""
