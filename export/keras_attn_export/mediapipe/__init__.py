"""Files that MediaPipe's TextClassifier and TextEmbedder open."""
