"""`keras-attn train classification|masked-lm|causal-lm`: from scratch, or from a trained model."""

from typing import Annotated, Literal

import typer

from keras_attn.commands.environment import keep_freed_memory
from keras_attn.commands.screen import JsonOption
from keras_attn.commands.training.options import (
    DATA,
    HOW,
    LENGTH,
    MODEL,
    Accumulate,
    Backend,
    CheckpointEvery,
    Distribution,
    Dropout,
    Epochs,
    Evaluations,
    LabelSmoothing,
    LearningRate,
    Mesh,
    Output,
    Patience,
    Precision,
    Remat,
    Resume,
    Schedule,
    Seed,
    ShardOptimizer,
    Steps,
    VocabularySize,
    Warmup,
    run_and_tell,
    run_options_of,
    settings,
)

Init = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER", help="Begin with a Hugging Face folder or a run folder.", rich_help_panel=MODEL
    ),
]
Encoder = Annotated[
    Literal["bert", "bigbird"] | None, typer.Option(help="Which model, from scratch.", rich_help_panel=MODEL)
]
AnyBackbone = Annotated[
    Literal["bert", "bigbird", "gpt2"] | None,
    typer.Option(help="Which model, from scratch.", rich_help_panel=MODEL),
]
Preset = Annotated[
    str | None, typer.Option(help="Its size, from scratch: tiny, base ...", rich_help_panel=MODEL)
]
MaxTokens = Annotated[int | None, typer.Option(min=4, help="Tokens per text or row.", rich_help_panel=DATA)]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Texts per step, all devices'.", rich_help_panel=HOW)
]
Texts = Annotated[
    list[str],
    typer.Option(
        metavar="FOLDER|FILE", help="Text, a paragraph per line; more than once if need be.",
        rich_help_panel=DATA,
    ),
]  # fmt: skip
HeldOutTexts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FOLDER|FILE", help="Held-out text; else part of the training text.", rich_help_panel=DATA
    ),
]


def classification(
    train: Annotated[
        str, typer.Option(metavar="FILE", help=".csv or .tsv, plain or .gz.", rich_help_panel=DATA)
    ],
    output: Output,
    validation: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Held-out rows; else part of the others.", rich_help_panel=DATA),
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="FILE", help="Scored once, at the end.", rich_help_panel=DATA)
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option(help="Names, or numbers without a header, as in 2,3.", rich_help_panel=DATA),
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Name, or number without a header.", rich_help_panel=DATA)
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(help="Between fields: ';', '|', tab; default: as the name says.", rich_help_panel=DATA),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            help="Whether row 1 names the columns; default: if columns are names.",
            rich_help_panel=DATA,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Names for the labels 1, 2 ... or 0, 1 ..., as in A,B.", rich_help_panel=DATA),
    ] = None,
    max_tokens: MaxTokens = None,
    vocabulary_size: VocabularySize = None,
    init: Init = None,
    model: AnyBackbone = None,
    preset: Preset = None,
    pooling: Annotated[
        Literal["pooled", "mean", "mean_sqrt_len", "max", "cls", "last"] | None,
        typer.Option(help="How a text becomes one vector.", rich_help_panel=MODEL),
    ] = None,
    dropout: Dropout = None,
    freeze_layers: Annotated[
        int | None,
        typer.Option(
            min=-1, help="Keep embeddings and so many layers as they are; -1: none.", rich_help_panel=MODEL
        ),
    ] = None,
    steps: Steps = None,
    epochs: Epochs = None,
    patience: Patience = None,
    evaluations: Evaluations = None,
    checkpoint_every: CheckpointEvery = 0,
    metric: Annotated[
        Literal["accuracy", "macro_f1"] | None,
        typer.Option(help="What the best checkpoint is chosen by.", rich_help_panel=LENGTH),
    ] = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    layer_decay: Annotated[
        float | None,
        typer.Option(
            min=0.01, max=1, help="Learning rate of a layer by the next one's.", rich_help_panel=HOW
        ),
    ] = None,
    warmup: Warmup = None,
    schedule: Schedule = None,
    label_smoothing: LabelSmoothing = None,
    r_drop: Annotated[
        float | None,
        typer.Option(
            min=0, help="Let two passes under other dropout agree: R-Drop's weight.", rich_help_panel=HOW
        ),
    ] = None,
    accumulate: Accumulate = None,
    precision: Precision = None,
    seed: Seed = None,
    distribution: Distribution = "none",
    mesh: Mesh = None,
    shard_optimizer: ShardOptimizer = False,
    remat: Remat = False,
    backend: Backend = None,
    resume: Resume = False,
    json: JsonOption = False,
) -> None:
    """Train a text classifier and write a run folder.

    What is not given comes from a recipe. After an interruption the same command with --resume goes on
    exactly where the run stopped, on other devices if need be. SIGTERM saves, and exits with code 75.
    """
    options = locals()
    asked = settings(options)
    asked["labels"] = tuple(name.strip() for name in labels.split(",")) if labels else None

    def run(bar):
        keep_freed_memory()
        from keras_attn.training import ClassificationConfig, train_classification

        config = ClassificationConfig.recommended(**asked)
        run_options = run_options_of(options)
        return train_classification(config, output, resume=resume, progress=bar, run_options=run_options)

    run_and_tell(output, backend, json, run)


def masked_lm(
    train: Texts,
    output: Output,
    validation: HeldOutTexts = None,
    max_tokens: MaxTokens = None,
    vocabulary_size: VocabularySize = None,
    mask_rate: Annotated[
        float | None,
        typer.Option(min=0.01, max=0.99, help="Share of the tokens to predict.", rich_help_panel=DATA),
    ] = None,
    whole_words: Annotated[
        bool, typer.Option("--whole-words", help="Mask words as wholes.", rich_help_panel=DATA)
    ] = False,
    init: Init = None,
    model: Encoder = None,
    preset: Preset = None,
    dropout: Dropout = None,
    steps: Steps = None,
    epochs: Epochs = None,
    patience: Patience = None,
    evaluations: Evaluations = None,
    checkpoint_every: CheckpointEvery = 0,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    warmup: Warmup = None,
    schedule: Schedule = None,
    accumulate: Accumulate = None,
    precision: Precision = None,
    seed: Seed = None,
    distribution: Distribution = "none",
    mesh: Mesh = None,
    shard_optimizer: ShardOptimizer = False,
    remat: Remat = False,
    backend: Backend = None,
    resume: Resume = False,
    json: JsonOption = False,
) -> None:
    """Train a masked language model and write a run folder, for `train classification --init` to begin with.

    What is not given comes from a recipe. After an interruption the same command with --resume goes on
    exactly where the run stopped, on other devices if need be. SIGTERM saves, and exits with code 75.
    """
    options = locals()
    asked = settings(options)

    def run(bar):
        keep_freed_memory()
        from keras_attn.training import MaskedLMConfig, train_masked_lm

        config = MaskedLMConfig.recommended(**_paths(asked))
        run_options = run_options_of(options)
        return train_masked_lm(config, output, resume=resume, progress=bar, run_options=run_options)

    run_and_tell(output, backend, json, run)


def causal_lm(
    train: Texts,
    output: Output,
    validation: HeldOutTexts = None,
    max_tokens: MaxTokens = None,
    vocabulary_size: VocabularySize = None,
    init: Init = None,
    preset: Preset = None,
    dropout: Dropout = None,
    steps: Steps = None,
    epochs: Epochs = None,
    patience: Patience = None,
    evaluations: Evaluations = None,
    checkpoint_every: CheckpointEvery = 0,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    warmup: Warmup = None,
    schedule: Schedule = None,
    accumulate: Accumulate = None,
    precision: Precision = None,
    seed: Seed = None,
    distribution: Distribution = "none",
    mesh: Mesh = None,
    shard_optimizer: ShardOptimizer = False,
    remat: Remat = False,
    backend: Backend = None,
    resume: Resume = False,
    json: JsonOption = False,
) -> None:
    """Train GPT-2's kind of language model and write a run folder; each evaluation shows a text it writes.

    What is not given comes from a recipe. After an interruption the same command with --resume goes on
    exactly where the run stopped, on other devices if need be. SIGTERM saves, and exits with code 75.
    """
    options = locals()
    asked = settings(options)

    def run(bar):
        keep_freed_memory()
        from keras_attn.training import CausalLMConfig, train_causal_lm

        config = CausalLMConfig.recommended(**_paths(asked))
        run_options = run_options_of(options)
        return train_causal_lm(config, output, resume=resume, progress=bar, run_options=run_options)

    run_and_tell(output, backend, json, run)


def _paths(asked: dict) -> dict:
    lists = {name: tuple(asked[name]) for name in ("train", "validation") if asked[name]}
    return {**asked, "validation": None, **lists}


CLASSIFICATION_EXAMPLES = """[bold]Examples[/bold]

  keras-attn train classification --train train.csv --test test.csv --output runs/news

  keras-attn train classification --train train.csv.gz --text-column 2,3 --label-column 1 \\
      --labels World,Sports,Business,Sci/Tech --init all-MiniLM-L6-v2 --output runs/news

  keras-attn train classification --train train.csv --delimiter ";" --text-column title,body \\
      --output runs/news

  keras-attn train classification --train train.csv --init runs/pretrained --freeze-layers 1 \\
      --layer-decay 0.8 --output runs/tuned
"""

MASKED_LM_EXAMPLES = """[bold]Examples[/bold]

  keras-attn train masked-lm --train texts --preset tiny --whole-words --output runs/pretrained

  keras-attn train masked-lm --train news.txt.gz --init bert-base-uncased --output runs/adapted
"""

CAUSAL_LM_EXAMPLES = """[bold]Examples[/bold]

  keras-attn train causal-lm --train stories.txt --preset tiny --output runs/stories

  keras-attn train causal-lm --train texts --train more.txt.gz --validation held-out.txt --output runs/lm
"""

COMMANDS = {
    "classification": (classification, CLASSIFICATION_EXAMPLES),
    "masked-lm": (masked_lm, MASKED_LM_EXAMPLES),
    "causal-lm": (causal_lm, CAUSAL_LM_EXAMPLES),
}
