"""Is my loss normal? A run set against its text, against other runs, and against usual faults."""
