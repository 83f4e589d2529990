"""From token ids to batches of few shapes, in an order that survives a resume."""
