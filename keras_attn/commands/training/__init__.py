"""`keras-attn train`, one command per task."""
