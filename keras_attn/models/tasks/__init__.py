"""A backbone with the head of a task: classes, embeddings, masked tokens, the next token."""
