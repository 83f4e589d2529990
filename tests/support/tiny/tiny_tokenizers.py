"""Vocabulary files of every accepted tokenizer class, trained on a few texts."""

import pytest
from hard_texts import hard_texts
from tiny_pieces import ENGLISH, sentences, train
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer

TEXTS = [
    *hard_texts([], 40),
    "A girl climbs into a wooden playhouse, doesn't she?",
    "Mädchen klettern gern über  Zäune.\n",
]


def bert_files(folder):
    trainer = BertWordPieceTokenizer(lowercase=False)
    trainer.train_from_iterator(TEXTS * 2, vocab_size=400, min_frequency=1, show_progress=False)
    words = sorted(trainer.get_vocab(), key=trainer.get_vocab().get)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return len(words)


def gpt2_files(folder):
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(
        TEXTS, vocab_size=400, min_frequency=1, show_progress=False, special_tokens=["<|endoftext|>"]
    )
    trainer.save_model(str(folder))
    return trainer.get_vocab_size()


def big_bird_files(folder):
    pytest.importorskip("sentencepiece")
    numbers = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 100}
    symbols = ["[CLS]", "[SEP]", "[MASK]"]
    train(folder / "spiece.model", sentences(ENGLISH, 300), control_symbols=symbols, **numbers)
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model")).get_piece_size()


def roberta_files(folder):
    trainer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator(
        TEXTS, vocab_size=400, min_frequency=1, show_progress=False, special_tokens=special
    )
    trainer.save_model(str(folder))
    return trainer.get_vocab_size()


def mpnet_files(folder):
    size = bert_files(folder)
    words = (folder / "vocab.txt").read_text("utf-8").splitlines()
    words = ["<s>", "<pad>", "</s>", *(word for word in words if word not in ("[PAD]", "[CLS]", "[SEP]"))]
    (folder / "vocab.txt").write_text("\n".join([*words, "<mask>"]) + "\n", encoding="utf-8")
    return size + 1


def piece_files(name, special, more=0, **options):
    """Return what writes a SentencePiece model of this name, to which a class adds `more` ids."""

    def write_pieces(folder):
        sentencepiece = pytest.importorskip("sentencepiece")
        train(folder / name, sentences(ENGLISH, 300), size=220, **special, **options)
        return sentencepiece.SentencePieceProcessor(model_file=str(folder / name)).get_piece_size() + more

    return write_pieces


FAIRSEQ = {"bos_id": 1, "eos_id": 2, "unk_id": 0}
BRACKETS = {
    "pad_id": 0, "bos_id": 2, "eos_id": 3, "unk_id": 1, "pad_piece": "<pad>", "unk_piece": "<unk>",
    "bos_piece": "[CLS]", "eos_piece": "[SEP]", "control_symbols": ["[MASK]"],
}  # fmt: skip
DEBERTA = {
    "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "unk_piece": "[UNK]",
    "bos_piece": "[CLS]", "eos_piece": "[SEP]", "user_defined_symbols": ["[MASK]"],
}  # fmt: skip
NMT = {"normalization_rule_name": "nmt_nfkc"}
FILES = {
    "ElectraTokenizer": bert_files,
    "RobertaTokenizer": roberta_files,
    "XLMRobertaTokenizer": piece_files("sentencepiece.bpe.model", FAIRSEQ, more=2, **NMT),
    "CamembertTokenizer": piece_files("sentencepiece.bpe.model", FAIRSEQ, more=5, **NMT),
    "MPNetTokenizer": mpnet_files,
    "AlbertTokenizer": piece_files("spiece.model", BRACKETS, **NMT),
    "DebertaV2Tokenizer": piece_files("spm.model", DEBERTA, **NMT),
    "BertTokenizer": bert_files,
    "DistilBertTokenizer": bert_files,
    "GPT2Tokenizer": gpt2_files,
    "BigBirdTokenizer": big_bird_files,
}
