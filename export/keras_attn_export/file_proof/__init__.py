"""The proof of a .tflite file that something else made, against the Keras model that it should be."""
