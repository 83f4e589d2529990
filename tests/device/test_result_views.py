"""Views of results in a terminal and in a notebook."""

import numpy as np

from keras_attn.device import Classification, Embedding, Filling, Fillings, Generation, Label
from keras_attn.device.tasks.translation import Output

LONG = "word " * 1000


def test_a_repr_is_one_short_line_however_long_the_text():
    results = [
        Classification(LONG, [Label(f"label {i}", 0.01) for i in range(100)], pair=LONG),
        Embedding(LONG, np.linspace(0, 1, 384, dtype=np.float32)),
        Fillings(LONG, [Filling(LONG, "dog", 7, 0.5) for _ in range(50)]),
        Generation(LONG, [Output(LONG, -1.0, [1] * 900, None)], [1] * 900),
    ]
    for result in results:
        assert len(repr(result)) < 250 and "\n" not in repr(result)
        assert repr(result).startswith(f"{type(result).__name__}('word word")


def test_a_classification_shows_its_best_label():
    result = Classification("The <b> match", [Label("sports", 0.9), Label("world", 0.1)])
    assert repr(result) == "Classification('The <b> match', label='sports', score=0.900)"
    assert result._repr_html_() == (
        "<table><caption>The &lt;b&gt; match</caption><tr><th>label</th><th>score</th></tr>"
        "<tr><td>sports</td><td>0.900</td></tr><tr><td>world</td><td>0.100</td></tr></table>"
    )
    pair = Classification("One.", [Label("next", 0.9)], pair="Two.")
    assert repr(pair) == "Classification('One.', pair='Two.', label='next', score=0.900)"


def test_an_embedding_shows_its_first_numbers_and_its_size():
    result = Embedding("A dog.", np.arange(384, dtype=np.float32) / 10)
    assert repr(result) == "Embedding('A dog.', [0, 0.1, 0.2, 0.3, …], size=384)"
    assert repr(Embedding("A dog.", result.embedding[:2])) == "Embedding('A dog.', [0, 0.1], size=2)"


def test_fillings_show_their_words():
    filling = Filling("A big dog.", "big", 7, 0.5, 1)
    result = Fillings("A [MASK] dog.", [filling])
    assert repr(result) == "Fillings('A [MASK] dog.', ['big' 0.500])"
    assert "<tr><td>2</td><td>big</td><td>0.500</td><td>A big dog.</td></tr>" in result._repr_html_()


def test_a_generation_shows_what_was_added():
    result = Generation("Once", [Output(" upon a time", -1.5, [1, 2], None)], [3])
    assert repr(result) == "Generation('Once', text=' upon a time', score=-1.500)"
