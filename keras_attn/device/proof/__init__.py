"""The proof that a bundle carries, and its verification on this machine."""
