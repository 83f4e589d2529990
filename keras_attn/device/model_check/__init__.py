"""Checks of a `.tflite` file before an interpreter opens it."""
