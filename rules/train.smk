"""Training: one rule for every stage, from the base model or from a parent checkpoint."""


rule train:
    input:
        parent=parent_record,
        subset=lambda wildcards: paths.subset(
            wildcards.pool, wildcards.seed, run_of(wildcards).size
        ),
    # Checkpoints and the model are not declared: Snakemake would delete them with a failed job's outputs, and what
    # another job has just finished before this one looks at it.
    output:
        run=paths.run(CELL, "run.json"),
        metrics=paths.run(CELL, "metrics.jsonl"),
    log:
        "results/logs/train/{model}/{pool}/seed{seed}/{lineage}.log",
    priority: 10
    conda:
        ENVIRONMENT
    threads: lambda wildcards: training(wildcards).threads
    resources:
        gpu=lambda wildcards: training(wildcards).gpu,
        nodes=lambda wildcards: training(wildcards).nodes,
        tasks=lambda wildcards: training(wildcards).nodes,
        # Has the executor start the command without an srun of its own, which would ask for one task with the GPUs of all
        # nodes. The command starts a task on each node by itself.
        mpi=lambda wildcards: "srun" if training(wildcards).nodes > 1 else None,
        mem_mb=lambda wildcards, attempt: training(wildcards, attempt).mem_mb,
        runtime=lambda wildcards, attempt: training(wildcards, attempt).runtime,
    params:
        study=lambda wildcards, input: STUDY_FILE,
        spec=lambda wildcards: identity.stage_spec(
            STUDY, wildcards.model, run_of(wildcards).stage
        ),
    shell:
        "reassess train --study {params.study} --model {wildcards.model} --pool {wildcards.pool}"
        " --seed {wildcards.seed} --lineage {wildcards.lineage} --threads {threads} >> {log} 2>&1"
