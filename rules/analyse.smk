"""Tables and figures, from scores and run records alone."""


rule tables:
    input:
        GRAPH["tables", "all"].inputs,
    output:
        GRAPH["tables", "all"].outputs,
    log:
        paths.log("tables", "all"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubling(4000),
        runtime=120,
    params:
        spec=GRAPH["tables", "all"].spec,
    shell:
        f"reassess tables --study {STUDY_FILE} >> {{log}} 2>&1"


rule figures:
    input:
        GRAPH["figures", "all"].inputs,
    output:
        GRAPH["figures", "all"].outputs,
    log:
        paths.log("figures", "all"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=doubling(4000),
        runtime=120,
    params:
        spec=GRAPH["figures", "all"].spec,
    shell:
        f"reassess figures --study {STUDY_FILE} >> {{log}} 2>&1"


rule tables_partial:
    log:
        paths.log("tables", "partial"),
    conda:
        ENVIRONMENT
    shell:
        f"(reassess tables --partial --study {STUDY_FILE} && reassess figures --partial --study {STUDY_FILE})"
        " 2>&1 | tee {log}"
