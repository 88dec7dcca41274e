"""One figure per file, each with `draw`; `reassess.graph.report` names them."""
