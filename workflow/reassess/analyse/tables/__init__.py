"""One table per file, each with `build`; `reassess.graph.report` names them."""
