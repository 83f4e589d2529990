"""Model files on LiteRT: signatures as arrays to write, run and read."""
