"""Pretraining objectives: what is hidden from the model, and what it loses by not knowing it."""
