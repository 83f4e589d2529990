"""The description of a setting, beside its field: help, panel and range for command line, Python and docs.

    epochs: Annotated[int, Setting("Passes over the data.", SCHEDULE, min=1)] = 24

A subclass that only changes the default or the type of a field keeps the `Setting` of its base.
"""

import dataclasses
import functools
import inspect
import textwrap
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from keras_attn.errors import ArgumentError

DATA, MODEL, SCHEDULE, OPTIMIZATION, DEVICES = "Data", "Model", "Schedule", "Optimization", "Devices"
TEACHER = "Machine translations"
PANELS = (DATA, TEACHER, MODEL, SCHEDULE, OPTIMIZATION, DEVICES)
WIDTH = 106

Config = TypeVar("Config", bound=type)


@dataclasses.dataclass(frozen=True)
class Setting:
    """The description of a field.

    Attributes:
        help: one sentence.
        panel: heading in the command line's help; `None` for a setting that only Python has.
        min, max: range of a number.
        metavar: placeholder of the value in the help.
        required: whether the command line requires the option.
        separator: separator of a tuple that is given as one text; by default the option is repeated.
        choices: returns the choices for a class or an object; by default they are those of a Literal type.
    """

    help: str
    panel: str | None = None
    min: float | None = None
    max: float | None = None
    metavar: str | None = None
    required: bool = False
    separator: str | None = None
    choices: Callable[[Any], tuple[str, ...]] | None = None


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a dataclass of settings.

    Attributes:
        name: its name.
        type: its type.
        default: its default.
        setting: its description.
        depth: int, depth of the class that first describes it in the class hierarchy.
    """

    name: str
    type: Any
    default: Any
    setting: Setting
    depth: int

    def choices(self, config: Any) -> tuple[str, ...]:
        """Return the names that the field may have, for a class or an object; none if any value may be."""
        if self.setting.choices:
            return self.setting.choices(config)
        literals = (part for part in self.parts if typing.get_origin(part) is Literal)
        return tuple(name for literal in literals for name in typing.get_args(literal))

    @property
    def parts(self) -> tuple[Any, ...]:
        """The members of a union type, or the type itself."""
        is_union = typing.get_origin(self.type) in (types.UnionType, typing.Union)
        return typing.get_args(self.type) if is_union else (self.type,)

    @property
    def is_tuple(self) -> bool:
        """Whether the value is a tuple."""
        return typing.get_origin(self.type) is tuple

    def convert(self, value: Any) -> Any:
        """Return the tuple that a text or a list stands for; any other value as it is."""
        if not self.is_tuple or isinstance(value, tuple):
            return value
        if isinstance(value, str):
            if not self.setting.separator:
                return (value,)
            parts = value.split(self.setting.separator) if value else ()
            value = [part.strip() for part in parts]
        if typing.get_args(self.type)[0] is int:
            wrong = [part for part in value if isinstance(part, str) and not part.isdecimal()]
            if wrong:
                raise ArgumentError(f"`{self.name}` must be whole numbers, got {wrong[0]!r}.")
            return tuple(int(part) for part in value)
        return tuple(value)


@functools.cache
def fields_of(config: type) -> tuple[Field, ...]:
    """Return the fields of a dataclass of settings, in their order."""
    found: dict[str, tuple[Any, Setting, int]] = {}
    for depth, base in enumerate(reversed(config.__mro__)):
        for name, annotation in inspect.get_annotations(base).items():
            _, setting, described = found.get(name, (None, None, depth))
            if typing.get_origin(annotation) is Annotated:
                annotation, *metadata = typing.get_args(annotation)
                setting = next(each for each in metadata if isinstance(each, Setting))
            if setting is not None:
                found[name] = annotation, setting, described
    return tuple(
        Field(field.name, found[field.name][0], field.default, *found[field.name][1:])
        for field in dataclasses.fields(config)
        if field.name in found
    )


def violations(config: Any) -> list[str]:
    """Return one sentence for each value that is not among its choices or out of its range."""
    found = []
    for field in fields_of(type(config)):
        value, setting = getattr(config, field.name), field.setting
        choices = field.choices(config)
        if value is None and type(None) in field.parts:
            continue
        if choices and value not in choices:
            found.append(f"`{field.name}` must be one of {', '.join(choices)}, got {value!r}.")
        bounds = {"at least": setting.min, "at most": setting.max}
        wanted = " and ".join(f"{word} {bound}" for word, bound in bounds.items() if bound is not None)
        if not wanted:
            continue
        if not isinstance(value, int | float):
            found.append(f"`{field.name}` must be a number, got {value!r}.")
        elif not (setting.min is None or value >= setting.min) or not (
            setting.max is None or value <= setting.max
        ):
            found.append(f"`{field.name}` must be {wanted}, got {value}.")
    return found


def describe(config: type) -> str:
    """Return one indented entry per setting, for a docstring."""
    entries = []
    for field in fields_of(config):
        choices = field.choices(config)
        names = f" One of {', '.join(choices)}." if choices else ""
        entry = f"{field.name}: {field.setting.help}{names}"
        entries.append(textwrap.fill(entry, WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8))
    return "\n".join(entries)


def documented(config: Config) -> Config:
    """List a dataclass' settings in its docstring."""
    config.__doc__ = f"{inspect.getdoc(config)}\n\nAttributes:\n{describe(config)}"
    return config
