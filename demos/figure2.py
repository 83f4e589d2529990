"""Figure 2 of the RNNsearch paper from your own runs: BLEU against source length, with and without attention.

    keras-attn evaluate runs/rnnsearch --test data/test --beam 5 --output rnnsearch.txt
    keras-attn evaluate runs/seq2seq   --test data/test --beam 5 --output seq2seq.txt
    python demos/figure2.py --source data/test.en --reference data/test.de --output figure2.png \\
        RNNsearch=rnnsearch.txt "RNN encoder-decoder=seq2seq.txt"
"""

from pathlib import Path
from typing import Annotated

import sacrebleu
import typer

from keras_attn.data.readers.parallel import read_lines
from keras_attn.pictures.curves import bleu_by_length

WIDTH = 4  # words per point of the curve
FEWEST = 20  # a point over fewer sentences would be noise: they join the point before


def groups(lengths: list[int]) -> list[list[int]]:
    """Gather sentences of about one length, the shortest first."""
    found: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        same = found and lengths[found[-1][0]] // WIDTH == lengths[number] // WIDTH
        found[-1].append(number) if same else found.append([number])
    while len(found) > 1 and len(found[-1]) < FEWEST:
        last = found.pop()
        found[-1] += last
    return [group for group in found if len(group) >= FEWEST] or found


def main(
    translations: Annotated[list[str], typer.Argument(help="NAME=FILE, one sentence per line, best first.")],
    source: Annotated[str, typer.Option(help="The sources, plain or .gz.")],
    reference: Annotated[str, typer.Option(help="Their references.")],
    output: Annotated[Path, typer.Option(help="The picture: .png, .svg or .pdf.")] = Path("figure2.png"),
    tokenize: Annotated[str, typer.Option(help="sacreBLEU's tokenization.")] = "none",
) -> None:
    """Draw BLEU by source length for several translations of one test set."""
    lengths = [len(line.split()) for line in read_lines(source)]
    references = read_lines(reference)
    curves = {}
    for given in translations:
        name, equals, path = given.partition("=")
        hypotheses = read_lines(path) if equals else []
        if len(hypotheses) != len(references) or len(lengths) != len(references):
            counts = f"{len(hypotheses)} translations, {len(lengths)} sources, {len(references)} references"
            raise typer.BadParameter(f"{given}: the files do not match: {counts}")
        points = []
        for group in groups(lengths):
            bleu = sacrebleu.corpus_bleu(
                [hypotheses[i] for i in group],
                [[references[i] for i in group]],
                tokenize=tokenize,
                force=True,
            )
            points.append((sum(lengths[i] for i in group) / len(group), bleu.score, len(group)))
        typer.echo(f"{name}: " + ", ".join(f"{at:.0f} words {score:.1f} ({n})" for at, score, n in points))
        curves[name] = ([at for at, _, _ in points], [score for _, score, _ in points])
    bleu_by_length(curves, output)
    typer.echo(output)


if __name__ == "__main__":
    typer.run(main)
