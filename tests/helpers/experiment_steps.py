"""The steps of an experiment, one after the other in this process, as the rules call them."""

from pathlib import Path

from scripts import fetch_model, make_splits, metrics, predict, preflight, probe, report, train_adapter, write_recipe
from stagewise.config.experiment import Config
from stagewise.lineage import lineage_tree, untuned_lineages
from stagewise.pipeline.build_recipe import recipe_settings
from stagewise.provenance.files import write_json


class ExperimentSteps:
    """Runs the steps of an experiment without folds and merges in the current folder."""

    def __init__(self, config: Config):
        self.config, self.results = config, Path(config.results)
        self.adapters, self.untuned = lineage_tree(config), untuned_lineages(config)

    def run(self) -> Path:
        """Run every step, each adapter after its parent; return the results folder."""
        for name, model in self.config.used_models.items():
            self._step(fetch_model, model, "--name", name, "--output", f"models/{name}")
        self._step(make_splits, self.config.data_settings(), "--output", self.results / "data")
        self._step(preflight, self.config)
        for lineage in [*self.untuned, *self.adapters]:
            if lineage in self.adapters:
                self._train(lineage)
            self._score(lineage)
        paths = ["--output", self.results / "report_metrics.json", "--flat", self.results / "metrics.json"]
        self._step(metrics, self.config, "--results", self.results, *paths)
        pages = {"--html": "report.html", "--markdown": "report.md", "--figures": "figures", "--items": "items.html"}
        paths = [word for option, name in pages.items() for word in (option, self.results / name)]
        self._call(report, "--metrics", self.results / "report_metrics.json", "--results", self.results, *paths)
        return self.results

    def _train(self, lineage: str) -> None:
        adapter, folder = self.adapters[lineage], self.results / lineage
        shared = ["--model", self._model(adapter.base), "--data", self.results / adapter.data]
        recipes = [self.results / parent / "recipe.json" for parent in adapter.parents]
        output = ["--parents", *recipes, "--output", folder / "recipe.json"]
        self._step(write_recipe, recipe_settings(self.config, adapter), *shared, *output)
        parent = ["--parent", self.results / adapter.parent / "adapter"] if adapter.parent else []
        places = ["--checkpoints", self.results / "checkpoints", "--output", folder / "adapter"]
        self._call(train_adapter, "--recipe", folder / "recipe.json", *shared, *parent, *places, "--report-to")

    def _score(self, lineage: str) -> None:
        adapter = self.adapters.get(lineage)
        shared = ["--model", self._model(adapter.base if adapter else lineage)]
        shared += ["--checkpoints", self.results / "checkpoints"]
        shared += ["--adapter", self.results / lineage / "adapter"] if adapter else []
        data = ["--data", self.results / "data", "--output", self.results / lineage / "predictions"]
        self._step(predict, self.config.scoring_settings(), *shared, *data)
        if self.config.probes.item_scored:
            self._step(probe, self.config.probe_settings(), *shared, "--output", self.results / lineage / "probes")

    def _model(self, base: str) -> Path:
        return Path("models") / self.untuned[base]

    def _step(self, script, settings, *words) -> None:
        """Call a step that reads its settings from a file."""
        write_json(Path("settings.json"), settings.model_dump(mode="json", exclude_defaults=True))
        self._call(script, "--settings", "settings.json", *words)

    @staticmethod
    def _call(script, *words) -> None:
        assert script.main(list(map(str, words))) == 0, script.__name__
