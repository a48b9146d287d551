"""Raw files, models, adapters from elsewhere, and the splits.

Requires   the sources that the configuration declares
Produces   data/raw/{task}/{role}/{file}          fetched raw files, read only from then on
           models/{name}/receipt.json             the base model, or a fully fine-tuned one, beside its receipt
           adapters/{name}/                       weights and configuration of an adapter from elsewhere, and a receipt
           {results}/data/{task}/{split}.jsonl    items; set_aside.csv says what was left out and why
           {results}/data/summary.json            counts and checksums; with folds, both in data/fold-{k}/
"""

FETCHED = {
    str(raw_path(task, role, file)): file
    for task, spec in CONFIG.active_tasks.items()
    for role, file in spec.sources[spec.source].files.items()
    if file.is_fetched
}


FETCHED_FOLDERS = [f"models/{name}" for name in CONFIG.used_models] + [f"adapters/{name}" for name in ADOPTED_ADAPTERS]


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
    """Fetch a model, or write the receipt of a directory that is used where it is."""
    input:
        DEFINITION,
    output:
        "models/{model}/receipt.json",
    log:
        "logs/fetch_model/{model}.log",
    localrule: True
    params:
        settings=lambda wc: write_settings(CONFIG.used_models[wc.model]),
        folder=lambda wc, output: dirname(output[0]),
    shell:
        "python -m scripts.fetch_model --settings {params.settings:q} --name {wildcards.model:q}"
        " --output {params.folder:q} 2>&1 | tee {log:q}"


rule fetch_adapter:
    """Fetch an adapter from elsewhere: from the hub, or a copy of a local folder's."""
    input:
        DEFINITION,
    output:
        weights="adapters/{adopted}/adapter_model.safetensors",
        config="adapters/{adopted}/adapter_config.json",
        receipt="adapters/{adopted}/receipt.json",
    log:
        "logs/fetch_adapter/{adopted}.log",
    localrule: True
    params:
        settings=lambda wc: write_settings(ADOPTED_ADAPTERS[wc.adopted]),
        folder=lambda wc, output: dirname(output.receipt),
    shell:
        "python -m scripts.fetch_adapter --settings {params.settings:q} --output {params.folder:q} 2>&1 | tee {log:q}"


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
