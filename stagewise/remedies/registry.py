"""Registry of remedies: every module of this folder, and classes elsewhere by their dotted name."""

import difflib
import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path

from pydantic import ConfigDict, Field, create_model, model_validator

from stagewise.config.base import Settings, validate
from stagewise.errors import InputError
from stagewise.remedies.base import Merge, Remedy, RemedyEntry
from stagewise.remedies.source_files import source_files
from stagewise.task_kinds import TaskKind

# Modules of this folder that are no remedies.
_OTHER_MODULES = ("base", "registry", "source_files")


@cache
def find_remedy(name: str) -> RemedyEntry:
    """Find a remedy: a module of this folder, or ``package.module:Class`` from anywhere Python finds it.

    Raises
    ------
    InputError
        If there is none.
    """
    module_name, colon, class_name = name.partition(":")
    if not colon:
        names = builtin_remedies()
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)}, or 'package.module:Class'"
            raise InputError(f"'{name}' is not a remedy; {hint}")
        module_name = f"{__package__}.{name}"
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        hint = "is its folder on PYTHONPATH?" if isinstance(error, ImportError) else "correct the module"
        raise InputError(f"the remedy '{name}' cannot be imported ({reason}); {hint}") from None
    classes = [
        value
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Remedy | Merge) and value.__module__ == module.__name__
        if not colon or key == class_name
    ]
    if len(classes) != 1:
        what = f"no class '{class_name}' that is" if colon else f"{len(classes)} classes that are"
        raise InputError(
            f"{module.__file__ or module_name}: holds {what} a Remedy or a Merge; see stagewise/remedies/base.py"
        )
    return RemedyEntry(name, classes[0], Path(module.__file__), builtin=not colon)


@cache
def builtin_remedies() -> tuple[str, ...]:
    """List the remedies of this folder."""
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return tuple(sorted(name for name in names if name not in _OTHER_MODULES))


def _validate_foreign(entry: RemedyEntry, settings) -> Remedy | Merge:
    """Check the settings of a remedy from outside the project, whose validators may raise anything."""
    try:
        return validate(entry.cls, settings, entry.name)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{entry.name}: its class cannot check these settings ({type(error).__name__}: {error}); correct the module"
        ) from None


class _Remedies(Settings):
    """Remedies by name; several act together. One from elsewhere is named ``package.module:Class``."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def registered(cls, values):
        if not isinstance(values, dict):
            return values
        validated = {}
        for name, settings in values.items():
            try:
                entry = find_remedy(str(name))
                if settings is not None and not entry.builtin:
                    settings = _validate_foreign(entry, settings)
            except InputError as error:
                raise ValueError(str(error)) from None
            validated[name] = settings
        return validated

    @model_validator(mode="after")
    def one_merge(self):
        if len(merges := [name for name, remedy in self.chosen.items() if isinstance(remedy, Merge)]) > 1:
            raise ValueError(f"{' and '.join(merges)} both merge adapters; a stage has one of them")
        return self

    @model_validator(mode="after")
    def one_new_lora(self):
        if len(several := [name for name, remedy in self.in_training.items() if remedy.new_lora]) > 1:
            raise ValueError(
                f"{' and '.join(several)} each choose the directions of the stage's new LoRA; a stage has one of them"
            )
        return self

    @property
    def chosen(self) -> dict[str, Remedy | Merge]:
        """Settings of every remedy that is used, by name."""
        names = [*type(self).model_fields, *(self.__pydantic_extra__ or {})]
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @classmethod
    def of(cls, remedies: dict[str, Remedy | Merge]):
        """Build the settings of these remedies."""
        return cls(**remedies)

    @property
    def modules(self) -> dict[str, dict[str, Path]]:
        """Modules of each remedy from outside this package, and their files: their code is part of the recipe."""
        entries = [find_remedy(name) for name in self.chosen]
        return {entry.name: source_files(entry.cls.__module__, entry.file) for entry in entries if not entry.builtin}

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
        """Remedies that act while the stage is trained."""
        return {name: remedy for name, remedy in self.chosen.items() if isinstance(remedy, Remedy)}

    def check_kinds(self, learns: dict[str, TaskKind], earlier: dict[str, TaskKind]) -> None:
        """Raise a ``ValueError`` if one does not work on a task of such a kind, learnt by its stage or before."""
        for name, remedy in self.in_training.items():
            misfits = [task for task, kind in learns.items() if kind not in remedy.kinds]
            misfits += [task for task, kind in earlier.items() if kind not in remedy.earlier_kinds]
            if misfits:
                task = misfits[0]
                raise ValueError(
                    f"remedies.{name} does not work on '{task}', a task of kind '{(learns | earlier)[task]}'; take it "
                    "out, or choose another remedy (docs/reference/remedies.md)"
                )

    @property
    def afterwards(self) -> tuple[str, Merge] | None:
        """The remedy that merges finished adapters after the stage, with its name; None if there is none."""
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
