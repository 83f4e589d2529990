"""A backbone with the head of a task: classes, embeddings, masked words, the next word."""
