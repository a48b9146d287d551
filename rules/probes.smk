"""Every adapter, and every untuned base model, scored on the probes with one score per item: texts and harness tasks.

Requires   {results}/{lineage}/adapter/ (not for a base model), the texts, the folder of further harness tasks
Produces   {results}/{lineage}/probes/{probe}.csv and their receipt

Without such probes no file is asked for.
"""

PROBES = CONFIG.probes.item_scored
FETCHED |= {str(path): file for path, file in fetched_texts(CONFIG.probes.active_texts).items()}


rule probe:
    """Score one adapter, or a base model, on every probe."""
    input:
        adapter=adapter_receipt,
        model=model_receipt,
        tuned=tuned_model,
        files=list(map(str, probe_files(CONFIG.probe_settings()).values())),
        preflight=preflight_before("probes/receipt.json"),
    output:
        expand(f"{R}/{{{{lineage}}}}/probes/{{probe}}.csv", probe=PROBES),
        receipt=f"{R}/{{lineage}}/probes/receipt.json",
    log:
        f"logs/{R}/{{lineage}}/probe.log",
    group:
        one_job
    threads: threads_of
    resources:
        gpu=gpus_of("probe"),
        batch_size=8,  # requests per forward pass of the harness, which change scores by rounding only
        frozen_layers_mb=2000,  # of the frozen layers' output that may be kept on a CPU; 0 keeps none
    params:
        settings=write_settings(CONFIG.probe_settings()),
        model=lambda wc, input: dirname(input.model),
        layers=last_layers,
        adapter=lambda wc: [] if wc.lineage in UNTUNED else ["--adapter", f"{R}/{wc.lineage}/adapter"],
        folder=f"{R}/{{lineage}}/probes",
        checkpoints=f"{R}/checkpoints",
        image=IMAGE,
    shell:
        "python -m scripts.probe --settings {params.settings:q} --model {params.model:q} {params.adapter:q}"
        " --checkpoints {params.checkpoints:q} --output {params.folder:q} {params.image:q}"
        " --batch-size {resources.batch_size} --frozen-layers-mb {resources.frozen_layers_mb} {params.layers:q}"
        " 2>&1 | tee {log:q}"
