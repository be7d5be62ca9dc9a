"""Scores of predictions, in plain Python and NumPy; each file names the script it must equal."""
