"""Fine-tuning: one model or many from a checkpoint, a task and labelled files."""
