"""Settings of the trainings and their defaults: one dataclass per task, and the options of a single run."""

from keras_attn.training.config.classification import ClassificationConfig
from keras_attn.training.config.embedding import EmbeddingConfig
from keras_attn.training.config.language import CausalLMConfig, MaskedLMConfig
from keras_attn.training.config.question_answering import QuestionAnsweringConfig
from keras_attn.training.config.token_classification import TokenClassificationConfig
from keras_attn.training.config.translation import TranslationConfig

CONFIGS = {
    config.task: config
    for config in (
        TranslationConfig,
        ClassificationConfig,
        TokenClassificationConfig,
        QuestionAnsweringConfig,
        EmbeddingConfig,
        MaskedLMConfig,
        CausalLMConfig,
    )
}
