"""Models from presets."""

from typing import Any, Self

from keras_attn.errors import ArgumentError
from keras_attn.presets import PRESETS


class PresetMixin:
    """Adds `from_preset` to a model."""

    @classmethod
    def from_preset(cls, preset: str, **kwargs: Any) -> Self:
        """Create a model with random weights and the sizes of a preset.

        Args:
            preset: one of the class' names in `PRESETS`, such as `"tiny"` or `"base"`.
            **kwargs: further constructor arguments, which override the preset's.

        Raises:
            ArgumentError: if there is no such preset.
        """
        sizes = PRESETS[cls.__name__]
        if preset not in sizes:
            raise ArgumentError(
                f"`preset` must be one of {sorted(sizes)} for {cls.__name__}, got {preset!r}."
            )
        return cls(**{**sizes[preset], **kwargs})
