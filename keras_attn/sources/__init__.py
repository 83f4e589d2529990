"""Trained models in one form, with all that belongs to them: from a run folder, a checkpoint or Keras."""
