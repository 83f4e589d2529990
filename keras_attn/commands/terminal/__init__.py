"""The terminal: what people read, progress bars, quiet logs, JSON on standard output."""
