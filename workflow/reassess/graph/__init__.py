"""What follows from a study: the one list of jobs, their identities, resources and states."""

from reassess.graph.build import RULES, Graph, load, parse
from reassess.graph.cells import BASE, BASE_THINK, Cell
from reassess.graph.job import Coordinates, Job
from reassess.graph.recipes import Run

__all__ = ["BASE", "BASE_THINK", "RULES", "Cell", "Coordinates", "Graph", "Job", "Run", "load", "parse"]
