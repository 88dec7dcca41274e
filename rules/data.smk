"""Pools, benchmarks, sets of examples and nested training subsets."""


rule pool:
    input:
        inputs("pool"),
    output:
        manifest=paths.pool("{key}", "manifest.json"),
        shards=directory(paths.pool("{key}", "shards")),
    log:
        paths.log("pool", "{key}"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubling(4000),
        runtime=240,
    params:
        spec=spec("pool"),
    shell:
        command("pool")


rule benchmark:
    input:
        inputs("benchmark"),
    output:
        manifest=paths.benchmark("{key}", "manifest.json"),
        shards=directory(paths.benchmark("{key}", "shards")),
    log:
        paths.log("benchmark", "{key}"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubling(4000),
        runtime=240,
    params:
        spec=spec("benchmark"),
    shell:
        command("benchmark")


rule examples:
    input:
        inputs("examples"),
    output:
        manifest=paths.examples("{key}", "manifest.json"),
        shards=directory(paths.examples("{key}", "shards")),
    log:
        paths.log("examples", "{key}"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubling(4000),
        runtime=240,
    params:
        spec=spec("examples"),
    shell:
        command("examples")


rule subset:
    input:
        inputs("subset"),
    output:
        paths.subset("{key}"),
    log:
        paths.log("subset", "{key}"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubling(2000),
        runtime=30,
    params:
        spec=spec("subset"),
    shell:
        command("subset")
