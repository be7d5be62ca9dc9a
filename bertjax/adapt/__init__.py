"""Pretraining that goes on with the text of a domain: its beginning, and what it was worth."""
