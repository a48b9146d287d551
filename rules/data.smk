"""Raw files, the base model and the splits.

Requires   the sources that the configuration declares
Produces   data/raw/{task}/{file}                 fetched raw files, read only from then on
           models/{name}/receipt.json             the base model beside its receipt
           {results}/data/{task}/{split}.jsonl    items; set_aside.csv says what was left out and why
           {results}/data/summary.json            counts and checksums; with folds, both in data/fold-{k}/
"""

FETCHED = {
    str(raw_files.raw_path(task, role, file)): file
    for task, spec in CONFIG.active_tasks.items()
    for role, file in spec.sources[spec.source].files.items()
    if file.url
}


rule fetch_data:
    input:
        DEFINITION,
    output:
        "data/raw/{task}/{file}",
    log:
        "logs/fetch_data/{task}/{file}.log",
    localrule: True
    params:
        url=lambda wc: FETCHED[f"data/raw/{wc.task}/{wc.file}"].url,
        sha256=lambda wc: FETCHED[f"data/raw/{wc.task}/{wc.file}"].sha256,
        member=lambda wc: (["--member", member] if (member := FETCHED[f"data/raw/{wc.task}/{wc.file}"].member) else []),
    shell:
        "python -m scripts.fetch_data --url {params.url:q} --sha256 {params.sha256} {params.member:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule fetch_model:
    input:
        DEFINITION,
    output:
        f"{MODEL}/receipt.json",
    log:
        f"logs/fetch_model/{CONFIG.model}.log",
    localrule: True
    params:
        settings=settings(CONFIG.base_model),
        name=CONFIG.model,
        folder=lambda wc, output: dirname(output[0]),
    shell:
        "python -m scripts.fetch_model --settings {params.settings:q} --name {params.name:q}"
        " --output {params.folder:q} 2>&1 | tee {log:q}"


rule make_splits:
    input:
        lambda wc: list(map(str, origins.split_inputs(CONFIG.data_settings(fold(wc.data)), raw_files.RAW))),
    output:
        split_files(f"{R}/{{data}}"),
        expand(f"{R}/{{{{data}}}}/{{task}}/set_aside.csv", task=CONFIG.active_tasks),
        summary=f"{R}/{{data}}/summary.json",
    log:
        f"logs/{R}/{{data}}/make_splits.log",
    wildcard_constraints:
        data=r"data(/fold-\d+)?",
    localrule: True
    params:
        settings=lambda wc: settings(CONFIG.data_settings(fold(wc.data))),
        folder=lambda wc, output: dirname(output.summary),
        image=IMAGE,
    shell:
        "python -m scripts.make_splits --settings {params.settings:q} --output {params.folder:q} {params.image:q}"
        " 2>&1 | tee {log:q}"
