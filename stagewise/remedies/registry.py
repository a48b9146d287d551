"""Remedies by name: every module of this folder is one, and so is a class elsewhere that a dotted name points to."""

import difflib
import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path

from pydantic import ConfigDict, Field, create_model, model_validator

from stagewise.config.base import Settings, validate
from stagewise.errors import InputError
from stagewise.remedies.base import Kind, Merge, Remedy
from stagewise.remedies.source_files import source_files

# Modules of this folder that are no remedies.
_OTHER_MODULES = ("base", "registry", "source_files")


@cache
def find_remedy(name: str) -> Kind:
    """The remedy called `name`: a module of this folder, or ``package.module:Class`` from anywhere Python finds it.

    Raises
    ------
    InputError
        Where there is none.
    """
    module, colon, cls_name = name.partition(":")
    if not colon:
        names = builtin_remedies()
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}, or 'package.module:Class'"
            raise InputError(f"'{name}' is not a remedy; {hint}")
        module = f"{__package__}.{name}"
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"the remedy '{name}' cannot be imported ({error}); is its folder on PYTHONPATH?") from None
    classes = [
        value
        for key, value in vars(found).items()
        if inspect.isclass(value) and issubclass(value, Remedy | Merge) and value.__module__ == found.__name__
        if not colon or key == cls_name
    ]
    if len(classes) != 1:
        what = f"no class '{cls_name}' that is" if colon else f"{len(classes)} classes that are"
        raise InputError(f"{found.__file__}: holds {what} a Remedy or a Merge; see stagewise/remedies/base.py")
    return Kind(name, classes[0], Path(found.__file__), builtin=not colon)


@cache
def builtin_remedies() -> tuple[str, ...]:
    """Names of the remedies in this folder."""
    return tuple(
        sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name not in _OTHER_MODULES)
    )


class _Remedies(Settings):
    """Remedies by name; several act together. One from elsewhere is named ``package.module:Class``."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def known(cls, values):
        if not isinstance(values, dict):
            return values
        found = {}
        for name, settings in values.items():
            try:
                kind = find_remedy(str(name))
                if settings is not None and not kind.builtin:
                    settings = validate(kind.cls, settings, str(name))
            except InputError as error:
                raise ValueError(str(error)) from None
            found[name] = settings
        return found

    @model_validator(mode="after")
    def one_merge(self):
        if len(merges := [name for name, remedy in self.chosen.items() if isinstance(remedy, Merge)]) > 1:
            raise ValueError(f"{' and '.join(merges)} both merge adapters; a stage has one of them")
        return self

    @property
    def chosen(self) -> dict[str, Remedy | Merge]:
        """Settings of every remedy that is used, by name."""
        names = [*type(self).model_fields, *(self.__pydantic_extra__ or {})]
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @classmethod
    def of(cls, remedies: dict[str, Remedy | Merge]):
        """The set of these remedies."""
        return cls(**remedies)

    @property
    def modules(self) -> dict[str, dict[str, Path]]:
        """Modules of each remedy from outside this package, and their files: their code is part of the recipe."""
        kinds = [find_remedy(name) for name in self.chosen]
        return {kind.name: source_files(kind.cls.__module__, kind.file) for kind in kinds if not kind.builtin}

    @property
    def files(self) -> list[Path]:
        """Files of all these modules."""
        return sorted({path for modules in self.modules.values() for path in modules.values()})

    @property
    def behaviour(self) -> dict[str, int]:
        """Behaviour version of each remedy."""
        return {name: remedy.behaviour for name, remedy in self.chosen.items()}

    @property
    def in_training(self) -> dict[str, Remedy]:
        """Those that act while the stage is trained."""
        return {name: remedy for name, remedy in self.chosen.items() if isinstance(remedy, Remedy)}

    @property
    def afterwards(self) -> tuple[str, Merge] | None:
        """The one that makes an adapter of finished ones, after the stage."""
        return next(((name, remedy) for name, remedy in self.chosen.items() if isinstance(remedy, Merge)), None)


Remedies = create_model(
    "Remedies",
    __base__=_Remedies,
    __doc__=_Remedies.__doc__,
    **{
        name: (
            find_remedy(name).cls | None,
            Field(None, description=(inspect.getdoc(find_remedy(name).cls) or "").split("\n\n")[0]),
        )
        for name in builtin_remedies()
    },
)
