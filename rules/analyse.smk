"""Tables and figures, from scores and run records alone."""


rule tabulate:
    input:
        SCORES,
        RUNS,
    output:
        TABLE_FILES,
    log:
        "results/logs/tables.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=120,
    params:
        study=lambda wildcards, input: STUDY_FILE,
        spec=identity.report_spec(STUDY),
    shell:
        "reassess tables --study {params.study} >> {log} 2>&1"


rule plot:
    input:
        SCORES,
        RUNS,
    output:
        FIGURE_FILES,
    log:
        "results/logs/figures.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=120,
    params:
        study=lambda wildcards, input: STUDY_FILE,
        spec=identity.report_spec(STUDY),
    shell:
        "reassess figures --study {params.study} >> {log} 2>&1"


rule tables:
    input:
        TABLE_FILES,
        [file for file in RESULTS if file not in FIGURE_FILES],


rule tables_partial:
    log:
        "results/logs/tables_partial.log",
    conda:
        ENVIRONMENT
    params:
        study=STUDY_FILE,
    shell:
        "(reassess tables --partial --study {params.study} && reassess figures --partial --study {params.study})"
        " 2>&1 | tee {log}"
