"""One file per checkpoint format: its options and the names of its tensors."""
