"""Dropout on torch, whose integers have no unsigned 32 bits to hash."""

LEVELS = 2**16  # of a random number that decides about an element


def torch_dropout(inputs, rate, seed):
    """Set elements to 0 at random and scale the others so that the mean is kept.

    One random number of 64 bits decides about four elements, by 16 bits each: torch's own dropout draws one
    for each and takes five times as long on a CPU.

    Args:
        inputs: float torch tensor of any shape.
        rate: float in [0, 1), rounded to a multiple of 2**-16.
        seed: integer tensor (2,), as `keras.random.SeedGenerator.next()` returns it.

    Returns:
        Tensor like `inputs`.
    """
    import torch  # pyright: ignore[reportMissingImports]  # installed if Keras runs on it

    if inputs.is_meta:
        return inputs
    high, low = (int(part) & 0xFFFFFFFF for part in seed)
    generator = torch.Generator(inputs.device).manual_seed((high << 32 | low) & (2**63 - 1))
    words = -(-inputs.numel() // 4)
    bits = torch.randint(-(2**63), 2**63 - 1, (words,), generator=generator, device=inputs.device)
    dropped = round(rate * LEVELS)
    keep = bits.view(torch.int16)[: inputs.numel()].view(inputs.shape) >= dropped - LEVELS // 2
    return inputs * (keep.to(inputs.dtype) * (LEVELS / (LEVELS - dropped)))
