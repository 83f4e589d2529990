"""Which published test file belongs to which layer, and which of its tests are left out, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

# The releases whose tests these are. Another installed release has other tests, and is refused.
VERSIONS = {"keras": "3.15.1", "keras-hub": "0.32.0"}


@dataclass(frozen=True)
class Suite:
    """One published test file.

    Args:
        layer: name of the class, there and in `keras_attn.layers`.
        module: the module in which the published tests look the class up.
        distribution: the package on PyPI that has the module.
        file: path of the test file in that package's source.
        sha256: of the test file, where the released file could be had.
        left_out: names of tests that are not run, each with its reason. Only private attributes are one.
    """

    layer: str
    module: str
    distribution: str
    file: str
    sha256: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def file_name(self) -> str:
        """Name of the test file without its folders."""
        return PurePosixPath(self.file).name


def _keras_hub(layer: str, module: str, left_out: Mapping[str, str] | None = None) -> Suite:
    return Suite(
        layer=layer,
        module=f"keras_hub.src.layers.{module}",
        distribution="keras-hub",
        file=f"keras_hub/src/layers/{module.replace('.', '/')}_test.py",
        left_out=left_out or {},
    )


SUITES = (
    Suite(
        layer="MultiHeadAttention",
        module="keras.src.layers",
        distribution="keras",
        file="keras/src/layers/attention/multi_head_attention_test.py",
        sha256="9fb1f0ce5605b0075ad0f53278c941877b18458cc545d34ad0453bc36c1a74e8",
    ),
    _keras_hub("CachedMultiHeadAttention", "modeling.cached_multi_head_attention"),
    _keras_hub("TransformerEncoder", "modeling.transformer_encoder"),
    _keras_hub("TransformerDecoder", "modeling.transformer_decoder"),
    _keras_hub("PositionEmbedding", "modeling.position_embedding"),
    _keras_hub("SinePositionEncoding", "modeling.sine_position_encoding"),
    _keras_hub("RotaryEmbedding", "modeling.rotary_embedding"),
    _keras_hub("AlibiBias", "modeling.alibi_bias"),
    _keras_hub("TokenAndPositionEmbedding", "modeling.token_and_position_embedding"),
    _keras_hub("MaskedLMHead", "modeling.masked_lm_head"),
    _keras_hub("MaskedLMMaskGenerator", "preprocessing.masked_lm_mask_generator"),
)
