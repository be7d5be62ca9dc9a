"""What a masked LM knows before any fine-tuning: scores of text that need no training."""
