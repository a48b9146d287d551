"""Every item as the model reads it."""

import json

LONG = " ".join(f"word{n}" for n in range(60))


def set_text(experiment, text: str, number: int = 1) -> None:
    """Give the first training items of a task another text."""
    for item in experiment.items["colours"]["train"][:number]:
        item["fields"]["text"] = text


def test_prompts_that_are_shortened_are_counted(tiny_experiment):
    set_text(tiny_experiment, LONG)
    (finding,) = [f for f in tiny_experiment.findings() if "shortened" in f.found]
    assert finding.verdict == "note" and finding.found.endswith("1 are shortened")
    set_text(tiny_experiment, LONG, 12)
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "warning" and "12 of 74 prompts (16%) lose the end of their 'text'" in sentence


def test_an_item_that_cannot_be_shortened_fails(tiny_experiment):
    set_text(tiny_experiment, LONG)
    ((verdict, sentence),) = tiny_experiment.problems(tasks={"colours": {"shorten": None}})
    assert verdict == "failure" and "item 'train-0' needs" in sentence and "raise training.max_length" in sentence


def test_a_stage_of_its_own_length_is_judged_by_it(tiny_experiment):
    set_text(tiny_experiment, "tea " * 12)
    stages = [{"task": "colours", "training": {"max_length": 40}}, {"task": "warmth"}]
    ((verdict, sentence),) = tiny_experiment.problems(
        arms={"sequential": {"stages": stages}}, tasks={"colours": {"shorten": None}}
    )
    assert verdict == "failure" and "max_length leaves" in sentence


def with_configuration(experiment, folder, **values) -> None:
    """Give an experiment a copy of its model with other values in ``config.json``."""
    config = json.loads((experiment.model / "config.json").read_text())
    model = folder / "changed"
    model.mkdir()
    for file in experiment.model.iterdir():
        if file.name != "config.json":
            (model / file.name).symlink_to(file)
    (model / "config.json").write_text(json.dumps(config | values))
    experiment.model = model
    experiment.values["models"]["tiny"]["path"] = str(model)


def test_items_beyond_the_models_positions_fail(tiny_experiment, tmp_path):
    """Without this the model is used silently beyond the positions that it was trained for, or fails in the middle."""
    with_configuration(tiny_experiment, tmp_path, max_position_embeddings=64)
    assert tiny_experiment.problems() == []
    set_text(tiny_experiment, LONG)
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and "takes 96 tokens, but the base model has 64 positions" in sentence


def test_tokens_that_the_model_does_not_know_fail(tiny_experiment, tmp_path):
    """They would end training with an index out of range, on a GPU with an assertion of CUDA."""
    with_configuration(tiny_experiment, tmp_path, vocab_size=300)
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and "but the model knows 300 tokens" in sentence


def test_a_label_that_can_never_be_generated_fails(tiny_experiment):
    evaluation = {"method": "generation", "max_new_tokens": 1}
    problems = tiny_experiment.problems(evaluation=evaluation)
    assert [verdict for verdict, _ in problems] == ["failure"] * 2  # both tasks
    assert "evaluation.max_new_tokens is 1, and the label word" in problems[0][1]
    # A word's beginning counts there.
    assert tiny_experiment.problems(evaluation=evaluation | {"parse": "published"}) == []


def test_a_chat_template_that_is_missing_fails(tiny_experiment, tmp_path):
    model = tmp_path / "plain"
    model.mkdir()
    for file in tiny_experiment.model.iterdir():
        if file.name != "chat_template.jinja":
            (model / file.name).symlink_to(file)
    tiny_experiment.model = model
    tiny_experiment.values["models"]["tiny"]["path"] = str(model)
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and sentence.startswith("prompting.format: the model has no chat template")


def test_a_task_of_its_own_length_is_judged_by_it_in_every_stage(tiny_experiment):
    set_text(tiny_experiment, "tea " * 12)
    arms = {"sequential": {"stages": [{"task": "colours"}, {"task": "warmth"}]}}
    own = {"colours": {"shorten": None, "max_length": 96}}
    assert tiny_experiment.problems(arms=arms, tasks=own, training={"max_length": 40}) == []
    ((verdict, sentence),) = tiny_experiment.problems(arms=arms, tasks={"colours": {"shorten": None, "max_length": 40}})
    assert verdict == "failure" and "(or tasks.colours.max_length, which takes its place for this task)" in sentence
    set_text(tiny_experiment, LONG, 12)
    ((verdict, sentence),) = tiny_experiment.problems(tasks={"colours": {"max_length": 50}})
    assert verdict == "warning" and sentence.endswith("to fit into 50 tokens; raise tasks.colours.max_length")


def as_kind(experiment, kind: str, **settings) -> None:
    """Make the first task one of another kind, with items as its splits have them."""
    experiment.values["tasks"]["colours"] |= {"kind": kind, "labels": []} | settings
    for items in experiment.items["colours"].values():
        for item in items:
            if kind == "generation":
                item["references"] = [item["label"]]
            elif kind == "multi_label":
                item["labels"] = [item["label"]]
            else:
                item["fields"]["options"] = "A. red\nB. green"
                item |= {"label": {"red": "A", "green": "B"}[item["label"]], "options": 2}


def found(experiment, check: str) -> list[str]:
    return [f.found for f in experiment.findings() if f.check == check]


def test_generated_answers_are_counted_as_learnt_and_as_generated(tiny_experiment):
    as_kind(tiny_experiment, "generation")
    tiny_experiment.items["colours"]["train"][0] |= {"label": "red and green and red", "references": ["red"]}
    texts = [text for text in found(tiny_experiment, "prompts") if text.startswith("colours")]
    learnt, generated = sorted(texts, key=lambda text: "are generated, in a time not known before" in text)
    assert "with answers of at most" in learnt and "answers of at most" in generated and len(texts) == 2
    assert "colours: free text, 24 / 10 / 40 items" in found(tiny_experiment, "labels")
    assert found(tiny_experiment, "claims") == [
        "about each task's own measure: colours by token F1, warmth by accuracy"
    ]
    assert tiny_experiment.problems() == []


def test_a_reference_that_does_not_fit_is_a_failure_that_names_the_item(tiny_experiment):
    as_kind(tiny_experiment, "generation")
    tiny_experiment.items["colours"]["train"][3]["label"] = "red " * 99
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and "the answer of item 'train-3' takes" in sentence
    assert "raise training.max_length (or tasks.colours.max_length" in sentence


def test_room_for_generated_answers_is_checked(tiny_experiment):
    as_kind(tiny_experiment, "generation", max_new_tokens=96)
    ((verdict, sentence),) = tiny_experiment.problems()
    assert verdict == "failure" and "tasks.colours.max_new_tokens: 96 tokens of an answer leave no room" in sentence


def test_sets_of_labels_and_options_pass(tiny_experiment):
    labels = tiny_experiment.values["tasks"]["colours"]["labels"]
    as_kind(tiny_experiment, "multi_label", labels=labels)
    tiny_experiment.values["tasks"]["warmth"] |= {"kind": "ordinal"}
    assert tiny_experiment.problems() == []
    assert "colours: sets of 2 labels, 24 / 10 / 40 items" in found(tiny_experiment, "labels")
    assert "warmth: 2 labels of an order, 24 / 10 / 40 items" in found(tiny_experiment, "labels")


def test_options_pass_by_likelihood_and_by_generation(tiny_experiment):
    (tiny_experiment.folder / "options.txt").write_text("{text}\n{options}\nWhich one?\n", encoding="utf-8")
    options = {"columns": ["options"], "most": 4}
    as_kind(tiny_experiment, "multiple_choice", prompt="options.txt", options=options)
    assert tiny_experiment.problems() == []
    assert tiny_experiment.problems(evaluation={"method": "generation"}) == []
    assert "colours: up to 4 options, 24 / 10 / 40 items" in found(tiny_experiment, "labels")


def test_references_that_are_cut_off_are_a_warning(tiny_experiment):
    as_kind(tiny_experiment, "generation", stop=["ee"], max_new_tokens=1)
    for item in tiny_experiment.items["colours"]["test"]:
        item |= {"label": "red and green", "references": ["red and green"]}
    sentences = [sentence for verdict, sentence in tiny_experiment.problems() if verdict == "warning"]
    assert any("tasks.colours.stop: " in text and "references hold 'ee', where a right" in text for text in sentences)
    assert any("references take more than 1 tokens, so their answers are cut off; raise it" in t for t in sentences)
