"""Training: one rule for every stage, from the base model or from a parent checkpoint."""

NODES = asked("train", "nodes")


rule train:
    input:
        inputs("train"),
    # Checkpoints and the model are not declared: Snakemake would delete them with a failed job's outputs, and what
    # another job has just finished before this one looks at it.
    output:
        run=paths.run("{key}", "run.json"),
        metrics=paths.run("{key}", "metrics.jsonl"),
    log:
        paths.log("train", "{key}"),
    priority: 10
    conda:
        ENVIRONMENT
    threads: asked("train", "threads")
    resources:
        gpu=asked("train", "gpu"),
        nodes=NODES,
        tasks=NODES,
        # Has the executor start the command without an srun of its own, which would ask for one task with the GPUs of all
        # nodes. The command starts a task on each node by itself.
        mpi=asked("train", "mpi"),
        mem_mb=asked_again("train", "mem_mb"),
        runtime=asked_again("train", "runtime"),
    params:
        spec=spec("train"),
    shell:
        "reassess train {wildcards.key} --study {STUDY_FILE} --threads {threads} >> {log} 2>&1"
