"""Copies of initializers."""

import keras


def clone_initializer(initializer):
    """Copy an initializer, because one seeded initializer used twice would give equal weights.

    A plain function has no state, and is returned unchanged.
    """
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    return initializer.__class__.from_config(initializer.get_config())
