"""The data room: pools, benchmarks, sets of examples and subsets, each with its manifest."""
