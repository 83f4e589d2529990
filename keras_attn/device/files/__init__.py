"""Bundles on disk: reading them with distrust, writing them aside and then renaming."""
