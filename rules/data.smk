"""Pools, benchmarks and nested training subsets."""


rule pool:
    input:
        lambda wildcards: STUDY.pools[wildcards.pool].files,
    output:
        manifest=paths.pool("{pool}", "manifest.json"),
        shards=directory(paths.pool("{pool}", "shards")),
    log:
        "results/logs/pool/{pool}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=240,
    params:
        study=lambda wildcards, output: STUDY_FILE,
        spec=lambda wildcards: identity.pool_spec(STUDY, wildcards.pool),
    shell:
        "reassess pool --study {params.study} --pool {wildcards.pool} >> {log} 2>&1"


rule benchmark:
    input:
        lambda wildcards: STUDY.benchmarks[wildcards.benchmark].files,
    output:
        manifest=paths.benchmark("{benchmark}", "manifest.json"),
        shards=directory(paths.benchmark("{benchmark}", "shards")),
    log:
        "results/logs/benchmark/{benchmark}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=240,
    params:
        study=lambda wildcards, output: STUDY_FILE,
        spec=lambda wildcards: identity.benchmark_spec(STUDY, wildcards.benchmark),
    shell:
        "reassess benchmark --study {params.study} --benchmark {wildcards.benchmark} >> {log} 2>&1"


rule subset:
    input:
        manifest=rules.pool.output.manifest,
    output:
        paths.subset("{pool}", "{seed}", "{n}"),
    log:
        "results/logs/subset/{pool}/seed{seed}/{n}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=30,
    shell:
        "reassess subset --pool {wildcards.pool} --seed {wildcards.seed} --n {wildcards.n} >> {log} 2>&1"
