"""Remedies as settings: found by name or from outside, refused in one sentence, documented."""

import json
import sys

import pytest

from stagewise.config.step_settings import RecipeSettings
from stagewise.errors import InputError
from stagewise.models.adapters import read_adapter
from stagewise.provenance.files import sha256_file
from stagewise.provenance.fingerprints import fingerprint
from stagewise.remedies.registry import Remedies, builtin_remedies, find_remedy
from tests.helpers.contradicting_tasks import AdapterFolder, write_data

OUTSIDE = '''
from stagewise.remedies.base import Remedy, TrainingHook


class Shrink(Remedy):
    """Halves every weight of the adapter's B after each step."""

    factor: float = 0.5

    def hook(self, context):
        from stagewise.models.adapters import adapted_layers

        adapted = adapted_layers(context.model)
        factor = self.factor

        class Shrinking(TrainingHook):
            def after_step(self):
                for layer in adapted:
                    layer.b.data *= factor

        return Shrinking()
'''


def test_a_remedy_from_outside_the_package_needs_no_change_in_it(tiny_model, tmp_path, monkeypatch):
    adapters = AdapterFolder(tmp_path / "adapters", tiny_model, write_data(tmp_path / "adapters" / "data"))
    adapters.train("one", "first", epochs=1)
    module = tmp_path / "my_remedies.py"
    module.write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    adapters.train("shrunk", "second", "one", ["first"], epochs=1, remedies={"my_remedies:Shrink": {"factor": 0.0}})
    factors = read_adapter(adapters.adapter("shrunk"))[1]
    assert all(float(b.abs().max()) == 0 for _, b in factors.values())
    recipe = json.loads((adapters.folder / "shrunk" / "recipe.json").read_text())
    assert recipe["remedies"] == {"my_remedies:Shrink": {"factor": 0.0}}
    assert recipe["code"] == {"my_remedies:Shrink": fingerprint({"my_remedies": sha256_file(module)})}
    # Other code is another adapter: the recipe no longer holds.
    module.write_text(OUTSIDE + "\n# changed\n")
    with pytest.raises(AssertionError):
        train_again(adapters)
    find_remedy.cache_clear()
    sys.modules.pop("my_remedies", None)


def train_again(adapters: AdapterFolder) -> None:
    from scripts import train_adapter

    argv = [
        "--recipe",
        str(adapters.folder / "shrunk/recipe.json"),
        "--model",
        str(adapters.model),
        "--data",
        str(adapters.data),
    ]
    argv += ["--checkpoints", str(adapters.folder / "x"), "--output", str(adapters.folder / "x/out"), "--report-to"]
    assert train_adapter.main([*argv, "--parent", str(adapters.adapter("one"))]) == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rehearsl": {}}, "did you mean 'rehearsal'"),
        ({"rehearsal": {"share": 0}}, "greater than 0"),
        ({"rehearsal": {"portion": 0.1}}, "'remedies.rehearsal.portion' is not a setting"),
        ({"distill": {"share": 0.1}}, "goes with inputs: rehearsal"),
        ({"blend": {}, "merge": {}}, "a stage has one of them"),
        ({"orthogonal": {}, "minor": {}}, "minor and orthogonal each choose the directions of the stage's new LoRA"),
        ({"no_such_module:X": {}}, "is its folder on PYTHONPATH"),
        ({"json:JSONDecoder": {}}, "holds no class 'JSONDecoder' that is a Remedy or a Merge"),
    ],
)
def test_a_remedy_that_cannot_be_had_is_refused_in_one_sentence(settings, says):
    from stagewise.config.base import Settings, validate

    class Holder(Settings):
        remedies: Remedies

    with pytest.raises(InputError, match="config.yaml: ") as error:
        validate(Holder, {"remedies": settings}, "config.yaml")
    assert says in str(error.value)


def test_every_remedy_names_its_paper_and_survives_its_recipe():
    for name in builtin_remedies():
        kind = find_remedy(name).cls
        assert kind.paper and kind.__doc__
        settings = Remedies.of({name: kind()})
        assert (
            RecipeSettings.model_fields["remedies"].annotation.model_validate(
                json.loads(settings.model_dump_json(exclude_defaults=True))
            )
            == settings
        )
