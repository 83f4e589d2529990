"""Tables of the encoders' checkpoints, one file a family."""

from keras_attn.pretrained.architectures.architecture import Architecture
from keras_attn.pretrained.architectures.encoders import (
    albert,
    bert,
    deberta,
    electra,
    modernbert,
    mpnet,
    nomic_bert,
    roberta,
)

ARCHITECTURES: dict[str, Architecture] = {
    each.model_type: each
    for each in (
        bert.BERT,
        bert.DISTILBERT,
        bert.BIG_BIRD,
        roberta.ROBERTA,
        roberta.XLM_ROBERTA,
        roberta.CAMEMBERT,
        electra.ELECTRA,
        mpnet.MPNET,
        albert.ALBERT,
        deberta.DEBERTA,
        modernbert.MODERNBERT,
        nomic_bert.NOMIC_BERT,
    )
}
