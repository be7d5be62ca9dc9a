"""What rows without labels say: which classes they are of, how often, and how much each counts."""
