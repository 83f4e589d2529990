"""Keras models as users write them, tiny: what `keras_attn.export` takes."""


def cases():
    """Return all cases by name; imported here, after the backend has been chosen."""
    from zoo import attention, hub, images, mathematics, own_classes, recurrent, structures

    found = {}
    for module in (recurrent, attention, images, structures, mathematics, own_classes, hub):
        found |= module.CASES
    return found
