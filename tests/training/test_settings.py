"""Settings: said once, beside the field, for command line, Python and docstrings."""

import dataclasses
import inspect
from typing import Annotated, Literal

import pytest

from keras_attn.errors import ArgumentTypeError
from keras_attn.presets import PRESETS
from keras_attn.training import ClassificationConfig, MaskedLMConfig, TrainingError, TranslationConfig
from keras_attn.training.config import CONFIGS
from keras_attn.training.config.run_options import RunOptions
from keras_attn.training.config.setting import MODEL, Setting, describe, documented, fields_of, violations


@dataclasses.dataclass(frozen=True)
class Base:
    rate: Annotated[float | None, Setting("Dropout rate.", MODEL, min=0, max=0.5)] = 0.1
    names: Annotated[tuple[str, ...], Setting("Names.", separator=",")] = ()
    files: Annotated[tuple[str, ...], Setting("Files.")] = ()


@documented
@dataclasses.dataclass(frozen=True)
class Derived(Base):
    """A derived one."""

    rate: float = 0.2
    kind: Annotated[Literal["a", "b"], Setting("Kind.")] = "a"


def test_a_subclass_that_changes_type_or_default_keeps_the_setting():
    rate, *_ = fields_of(Derived)
    assert (rate.type, rate.default, rate.setting.max) == (float, 0.2, 0.5)
    assert fields_of(Base)[0].type == (float | None)
    assert fields_of(Derived)[3].choices(Derived) == ("a", "b")


def test_values_out_of_range_are_all_named():
    found = violations(Derived(rate=0.6, kind="c"))  # pyright: ignore[reportArgumentType]
    assert found == [
        "`rate` must be at least 0 and at most 0.5, got 0.6.",
        "`kind` must be one of a, b, got 'c'.",
    ]
    assert violations(Derived(rate="0.1")) == ["`rate` must be a number, got '0.1'."]  # pyright: ignore
    assert violations(Base(rate=None)) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("names", "a, b", ("a", "b")),
        ("names", "", ()),
        ("files", "a, b", ("a, b",)),
        ("files", ["a", "b"], ("a", "b")),
        ("rate", 0.5, 0.5),
    ],
)
def test_tuples_are_made_of_texts_and_lists(name, value, expected):
    field = {field.name: field for field in fields_of(Base)}[name]
    assert field.convert(value) == expected


def test_docstrings_list_the_settings():
    assert (Derived.__doc__ or "").startswith("A derived one.\n\nAttributes:\n    rate: Dropout rate.\n")
    assert "    kind: Kind. One of a, b." in describe(Derived)


@pytest.mark.parametrize("config", [*CONFIGS.values(), RunOptions])
def test_every_field_is_described(config):
    described = [field.name for field in fields_of(config)]
    assert described == [field.name for field in dataclasses.fields(config)]
    for field in fields_of(config):
        assert field.setting.help.endswith("."), field.name


def test_presets_are_those_of_the_model():
    for model, kind in TranslationConfig.models.items():
        for preset in PRESETS[kind]:
            assert TranslationConfig(data="dates", model=model, preset=preset).preset == preset
    with pytest.raises(TrainingError, match="`preset` must be one of tiny, small, base, got 'big'"):
        TranslationConfig(data="dates", model="rnnsearch", preset="big")
    with pytest.raises(TrainingError, match="`preset` must be one of tiny, base, got 'large'"):
        MaskedLMConfig(train=("x",), model="bigbird", preset="large")


def test_a_setting_that_does_not_exist_is_refused_with_a_hint():
    with pytest.raises(ArgumentTypeError, match=r"`epoch` is not a setting of translation: .*`epochs`"):
        TranslationConfig.recommended(data="dates", epoch=3)
    with pytest.raises(ArgumentTypeError, match="there are model, preset"):
        TranslationConfig.recommended(data="dates", xyz=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0"),
        ({"boundaries": (8, 4)}, "`boundaries` must ascend"),
        ({"steps": 0}, "`steps` must be at least 1, got 0"),
        ({"metric": "bleu"}, "`metric` must be one of accuracy, macro_f1"),
        ({"pooling": "median", "layer_decay": 2.0}, "`layer_decay` must .* `pooling` must"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(TrainingError, match=message):
        ClassificationConfig(train="x.csv", **settings)


def test_entry_points_show_every_setting():
    from keras_attn import train

    for task, config in CONFIGS.items():
        door = getattr(train, task.replace("-", "_"))
        parameters = inspect.signature(door).parameters
        for kind in (config, RunOptions):
            for field in dataclasses.fields(kind):
                assert field.name in parameters
                assert f"    {field.name}: " in door.__doc__
        assert {"output", "resume", "progress"} <= parameters.keys()
