"""A tiny experiment under git and DVC, built once; tests work on clones of it."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from stagewise.config.yaml_files import merge, read_yaml
from stagewise.provenance.files import sha256_file as sha256
from tests.helpers.project_copy import ProjectFolder
from tests.workflow.conftest import jobs, tiny_workspace

FIRST = "out/base/seed-0/colours"
SECOND = f"{FIRST}/warmth"


class Project(ProjectFolder):
    """A git repository with the tiny experiment."""

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        return self.run("git", *who, *arguments).stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def dvc(self, *arguments: str, check: bool = True, **environment: str):
        return self.run("dvc", *arguments, check=check, **environment)

    def clone(self, path: Path) -> "Project":
        """Clone the repository: the files that git has, and no others."""
        self.git("clone", "-q", str(self.path), str(path))
        return Project(path)

    def copy(self, path: Path) -> "Project":
        """Copy all files, DVC's cache and Snakemake's records included."""
        shutil.copytree(self.path, path, symlinks=True)
        return Project(path)

    def change(self, **values) -> None:
        """Change top-level keys of config.yaml, as a user would edit it."""
        config = merge(read_yaml(self.path / "config.yaml"), values)
        text = yaml.safe_dump(config, sort_keys=False)
        for word in ("yes", "no"):  # as the project's own file has them
            text = text.replace(f"'{word}'", f"!!str {word}")
        (self.path / "config.yaml").write_text(text, encoding="utf-8")

    def planned(self) -> dict[str, int]:
        """Number of jobs that `snakemake -n` plans, by rule; none if everything is up to date."""
        output = self.snakemake("-n").stdout
        planned = jobs(output)
        assert bool(planned) != ("Nothing to be done" in output)
        return planned

    def forget_logs(self) -> None:
        shutil.rmtree(self.path / "logs", ignore_errors=True)

    def trained(self) -> set[str]:
        """Tasks of the adapters trained since `forget_logs`; a copy from the cache does not count."""
        logs = (self.path / "logs").rglob("train_adapter.log")
        return {path.parent.name for path in logs if re.search(r"\d+ items.*, \d+ steps", path.read_text())}

    def read(self, name: str) -> dict:
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def learning_rate(self) -> float:
        """Learning rate of the second adapter, after a check that its receipt, recipe and predictions agree."""
        receipt, recipe = self.read(f"{SECOND}/adapter/receipt.json"), self.read(f"{SECOND}/adapter/recipe.json")
        predictions = self.read(f"{SECOND}/predictions/receipt.json")
        adapter = predictions["inputs"]["adapter"]
        assert receipt["inputs"]["recipe"] == recipe["fingerprint"] == adapter["recipe"]
        assert receipt["files"]["adapter_model.safetensors"] == adapter["weights"]
        assert sha256(self.path / SECOND / "adapter/adapter_model.safetensors") == adapter["weights"]
        return recipe["training"]["learning_rate"]

    def results(self) -> dict[str, str]:
        """Checksums of all results but the cache."""
        files = [p for p in (self.path / "out").rglob("*") if p.is_file() and "checkpoints" not in p.parts]
        files = [p for p in files if p.name != "preflight.json"]  # no result, and not tracked
        return {p.relative_to(self.path).as_posix(): sha256(p) for p in files if not p.name.startswith(".")}


@pytest.fixture(scope="session")
def built(tmp_path_factory, tiny_model) -> Project:
    """The experiment after ``dvc repro`` and a commit. Read only: clone or copy it to change it."""
    plain = tiny_workspace(tmp_path_factory.mktemp("dvc") / "project", tiny_model)
    values = read_yaml(plain.path / "tiny.yaml")
    # The first task's texts may be passed on, the second's may not.
    values["tasks"]["colours"]["sources"]["made"]["redistribute"] = True
    # A model of the project's own: a configuration that names a folder elsewhere is no list of parameters.
    shutil.copytree(tiny_model, plain.path / "given")
    values["models"]["tiny"]["path"] = "given"
    project = Project(plain.path)
    project.change(**values)
    project.run("python", "-m", "scripts.write_dvc")
    ignored = ("/out/", "/models/", "/logs/", ".snakemake/", "__pycache__/")
    (plain.path / ".gitignore").write_text("\n".join(ignored) + "\n", encoding="utf-8")
    project.git("init", "-q")
    project.commit("The plan")
    project.forget_logs()
    project.dvc("repro")
    assert project.trained() == {"colours", "warmth"}
    project.commit("The results")
    return project


@pytest.fixture
def copy(built, tmp_path) -> Project:
    return built.copy(tmp_path / "copy")
