"""What is passed on of a configuration holds no credential and no path of one machine."""

import re

import pytest

from stagewise.config.experiment import Config
from stagewise.config.identity import facts
from stagewise.config.load_config import check
from stagewise.config.shareable import (
    LOCAL_FILES,
    LOCAL_FOLDERS,
    is_local_path,
    redact_text,
    redact_url,
    shareable,
    without_credentials,
)
from stagewise.config.yaml_files import merge, read_yaml
from tests.helpers.project_copy import ROOT


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a/b.csv", "https://host/a/b.csv"),
        ("https://me:secret@host:8443/a.csv?X-Amz-Signature=secret#secret", "https://host:8443/a.csv"),
        ("https://secret@host/a.csv", "https://host/a.csv"),
        ("https://me:se%40cret@host/a.csv;session=secret", "https://host/a.csv"),
        ("https://me:se#cret@host/a.csv", "https://host/a.csv"),
        ("https://me:se/cret@host/a.csv", "https://host/a.csv"),
        ("https://me:se?cret@host/a.csv", "https://host/a.csv"),
        ("https://me:se@cret@host/a.csv", "https://host/a.csv"),
        ("https://[::1]:80/@scope/a.csv", "https://[::1]:80/@scope/a.csv"),
        ("https://host:80/@scope/a.csv", "https://host:80/@scope/a.csv"),
        ("s3://secret:secret@bucket/key", "s3://bucket/key"),
        ("file:///home/secret/a.csv", "file://(local)/a.csv"),
        ("data.csv", "data.csv"),
    ],
)
def test_a_url_without_what_may_be_secret(url, shown):
    assert redact_url(url) == shown
    assert "secret" not in redact_text(f"see <{url}>, '{url}'")


@pytest.mark.parametrize(
    ("path", "local"),
    [
        ("/home/me/x", True),
        ("~/x", True),
        ("../x", True),
        ("data/../../x", True),
        ("C:\\Users\\me", True),
        ("c:/Users/me", True),
        ("\\\\server\\me", True),
        ("data/x", False),
        ("./x", False),
        ("..x", False),
    ],
)
def test_a_path_that_leads_out_of_the_folder_is_of_one_machine(path, local):
    assert is_local_path(path) is local


def config(**changes) -> Config:
    return check(merge(read_yaml(ROOT / "config.yaml"), changes), ["config.yaml"])


def private(home: str, secret: str) -> Config:
    """A configuration that names a folder of somebody's and a password everywhere it can."""
    url = f"https://{secret}:{secret}@host/a.csv?{secret}"
    source = {
        "files": {"items": {"path": f"{home}/items.csv"}, "more": {"url": url, "sha256": "0" * 64}},
        "licence": f"see {url}",
    }
    split = {"rule": "ids", "ids": f"{home}/ids.json"}
    task = {"prompt": f"{home}/prompt.txt", "source": "mine", "sources": {"mine": source}, "split": "mine"}
    return config(
        results=f"{home}/results",
        mirror=f"{home}/mirror",
        model="mine",
        models={"mine": {"path": f"{home}/model", "licence": url}},
        tasks={"pubmedqa": task | {"splits": {"mine": split}}},
        published=f"{home}/published.json",
    )


def test_a_configuration_is_shown_without_folders_and_passwords():
    shown = shareable(private("/home/canary", "secret").model_dump(mode="json"))
    assert "canary" not in str(shown) and "secret" not in str(shown)
    assert shown["models"]["mine"]["path"] == shown["results"] == "(local)"
    assert shown["tasks"]["pubmedqa"]["prompt"] == "(local)/prompt.txt"
    assert shown["tasks"]["pubmedqa"]["sources"]["mine"]["files"]["more"]["url"] == "https://host/a.csv"
    assert shown["tasks"]["dreaddit"] == config().model_dump(mode="json")["tasks"]["dreaddit"]


def test_a_password_with_blanks_and_quotes_is_hidden():
    urls = ["https://me:se cret@host/x", "https://me:'se>cret@host/x?a b"]
    assert without_credentials({"urls": urls}) == {"urls": ["https://host/x", "https://host/x"]}


def test_folders_and_passwords_are_no_facts_of_a_result():
    assert facts(private("/home/canary", "secret")) == facts(private("/Users/other", "changed"))
    assert "canary" in str(without_credentials(private("/home/canary", "secret").model_dump(mode="json")))


def test_every_setting_that_names_a_file_or_a_folder_is_listed():
    """By its description: a new one must be hidden, or be described in other words."""
    listed = {path.rpartition(".")[2] for path in (*LOCAL_FILES, *LOCAL_FOLDERS)}
    schema = Config.model_json_schema()
    texts = {
        name: setting
        for model in (schema, *schema["$defs"].values())
        for name, setting in model.get("properties", {}).items()
        if "string" in str(setting.get("type", setting.get("anyOf", "")))
    }
    named = {
        name
        for name, setting in texts.items()
        if re.search(r"^(Prompt file|Local|Folder|JSON file)|file with", setting.get("description", ""))
    }
    assert {"path", "ids", "mirror", "published", "results"} <= named
    assert named - {"name"} <= listed  # a stage's name cannot hold a path
