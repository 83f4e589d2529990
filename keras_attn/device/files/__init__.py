"""Bundles on disk: reading them with all checks, writing them aside and then renaming."""
