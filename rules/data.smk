"""Raw files, the base model and the splits.

Requires   the sources that the configuration declares
Produces   data/raw/{task}/{role}/{file}          fetched raw files, read only from then on
           models/{name}/receipt.json             the base model beside its receipt
           {results}/data/{task}/{split}.jsonl    items; set_aside.csv says what was left out and why
           {results}/data/summary.json            counts and checksums; with folds, both in data/fold-{k}/
"""

FETCHED = {
    str(raw_path(task, role, file)): file
    for task, spec in CONFIG.active_tasks.items()
    for role, file in spec.sources[spec.source].files.items()
    if file.url
}


rule fetch_data:
    """Fetch one raw file and check it against its checksum."""
    input:
        DEFINITION,
    output:
        "data/raw/{task}/{file}",
    log:
        "logs/fetch_data/{task}/{file}.log",
    localrule: True
    params:
        # A URL may hold a password, and a command stands in logs.
        settings=lambda wc, output: write_settings(FETCHED[output[0]]),
    shell:
        "python -m scripts.fetch_data --settings {params.settings:q} --output {output:q} 2>&1 | tee {log:q}"


rule fetch_model:
    """Fetch the base model, or write the receipt of a directory that is used where it is."""
    input:
        DEFINITION,
    output:
        f"{MODEL}/receipt.json",
    log:
        f"logs/fetch_model/{CONFIG.model}.log",
    localrule: True
    params:
        settings=write_settings(CONFIG.base_model),
        name=CONFIG.model,
        folder=lambda wc, output: dirname(output[0]),
    shell:
        "python -m scripts.fetch_model --settings {params.settings:q} --name {params.name:q}"
        " --output {params.folder:q} 2>&1 | tee {log:q}"


rule make_splits:
    """Turn raw files into training, validation and test items of every task."""
    input:
        lambda wc: list(map(str, splits_files(CONFIG.data_settings(fold_number(wc.data)), RAW))),
        DEFINITION,
    output:
        expand(f"{R}/{{{{data}}}}/{{task}}/{{split}}.jsonl", task=TASKS, split=SPLITS),
        expand(f"{R}/{{{{data}}}}/{{task}}/set_aside.csv", task=TASKS),
        summary=f"{R}/{{data}}/summary.json",
    log:
        f"logs/{R}/{{data}}/make_splits.log",
    localrule: True
    params:
        settings=lambda wc: write_settings(CONFIG.data_settings(fold_number(wc.data))),
        folder=f"{R}/{{data}}",
        image=IMAGE,
    shell:
        "python -m scripts.make_splits --settings {params.settings:q} --output {params.folder:q} {params.image:q}"
        " 2>&1 | tee {log:q}"
