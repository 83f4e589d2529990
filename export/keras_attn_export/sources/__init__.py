"""What can be exported, in one form: a run folder, a checkpoint, or a Keras model."""
