"""Base models: toys built here, local checkpoints, or pinned hub snapshots."""


rule base_model:
    input:
        lambda wildcards: STUDY.models[wildcards.model].files,
    output:
        manifest=paths.model("{model}", "manifest.json"),
    log:
        "results/logs/base_model/{model}.log",
    # The longest chain of a small study starts here.
    priority: 20
    conda:
        ENVIRONMENT
    threads: lambda wildcards: making(wildcards).threads
    resources:
        gpu=lambda wildcards: making(wildcards).gpu,
        mem_mb=lambda wildcards, attempt: making(wildcards, attempt).mem_mb,
        runtime=lambda wildcards, attempt: making(wildcards, attempt).runtime,
    params:
        study=lambda wildcards, output: STUDY_FILE,
        spec=lambda wildcards: identity.model_spec(STUDY, wildcards.model),
    shell:
        "reassess base-model --study {params.study} --model {wildcards.model} --threads {threads} >> {log} 2>&1"
