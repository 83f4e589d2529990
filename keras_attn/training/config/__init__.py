"""Settings of the trainings and their defaults: one dataclass per task, and the options of a single run."""

from keras_attn.training.config.classification import ClassificationConfig
from keras_attn.training.config.language import CausalLMConfig, MaskedLMConfig
from keras_attn.training.config.translation import TranslationConfig

CONFIGS = {
    config.task: config
    for config in (TranslationConfig, ClassificationConfig, MaskedLMConfig, CausalLMConfig)
}
