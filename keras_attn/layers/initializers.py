"""Copies of initializers."""


def fresh(initializer):
    """Copy an initializer, because one seeded initializer used twice would give equal weights."""
    return initializer.__class__.from_config(initializer.get_config())
