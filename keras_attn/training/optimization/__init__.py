"""What a training step minimizes and how: losses, learning rates, accumulated gradients."""
