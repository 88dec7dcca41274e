"""Pools and benchmarks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from reassess.benchmarks import KNOWN, has_rows, module
from reassess.sources import Source
from reassess.sources.published import UNDECLARED, Hub, Published
from reassess.sources.repository import REVISION, newest
from reassess.spec import ExistingFile, ExistingPath, Name, Positive, RowsPath, Strict, near


class Decontaminate(Strict):
    """Rows that stand in benchmarks are taken out of a pool (`docs/decontamination.md`)."""

    VERSION: ClassVar[int] = 1

    against: Annotated[tuple[Name, ...], Field(min_length=1)]
    """The benchmarks of the study whose rows are taken out."""
    text: bool = True
    """Whether a question that shares 13 words in a row with one of a benchmark is taken out."""
    images: bool = True
    """Whether a row is taken out one of whose pictures looks like one of a benchmark."""

    @model_validator(mode="after")
    def _compares(self) -> Decontaminate:
        if not (self.text or self.images):
            raise ValueError("`text` or `images`: with neither, nothing is compared; leave `decontaminate` out")
        return self

    def identity(self) -> dict[str, Any]:
        """Return what decides which rows are taken out, besides those of the benchmarks."""
        options = self.model_dump(mode="json", exclude_defaults=True, exclude={"against"})
        return {"version": self.VERSION, "against": sorted(set(self.against)), **options}


class FromSources(Strict):
    """Examples that are read from sources."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where the examples come from."""
    modality: Literal["visual", "text", "mixed"] = "visual"
    """Whether every example has an image, none has, or some have; what does not fit is put aside."""
    max_put_aside: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Largest share of rows that may be unusable (broken image, empty gold) before the job fails."""

    @property
    def origins(self) -> tuple[Source | Published, ...]:
        """What the examples are read from."""
        return self.sources

    @property
    def files(self) -> list[str]:
        """The user's files that the examples are read from."""
        return [file for source in self.origins for file in source.files]

    @property
    def size(self) -> int | None:
        """The number of examples, None where only reading tells."""
        sizes = [source.size for source in self.origins]
        return None if None in sizes else sum(size for size in sizes if size is not None)


class Pool(FromSources):
    """Training examples from one or more sources. SFT and RL draw from the same pool."""

    decontaminate: Decontaminate | None = None
    """Which rows are taken out because benchmarks have them."""
    held_out: Positive | None = None
    """How many rows nothing is trained on: a benchmark `{pool: ...}` asks them."""
    only_with: tuple[Name, ...] = ()
    """Sets of `examples`: subsets of the pool, and of these sets, have only questions that stand in all of them, so
    that SFT on one of them, SFT on another and RL on the pool train on the same questions."""


def _known(name: str) -> str:
    if name in KNOWN:
        return name
    raise ValueError(f"unknown benchmark {name!r}; {near(name, KNOWN, n=1)}known: {', '.join(KNOWN)}")


Known = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(KNOWN)})]


class JudgeModel(Strict):
    """A large model's answers to an official rule's own prompt, asked outside of the workflow and kept on file."""

    name: Annotated[str, Field(min_length=1)]
    """The model with its version, as the records name it."""
    answers: ExistingFile
    """JSON lines with `key` and `answer`; `reassess audit --requests` writes the keys."""


class Benchmark(FromSources):
    """Evaluation examples: a known benchmark's own rows, from the hub or from a copy at `path`, or from `sources`.

    Or the rows that a pool holds out.
    """

    sources: tuple[Source, ...] = ()
    """Where the examples come from."""
    pool: Name | None = None
    """The pool whose held-out rows these are; of a mixed pool, those of the benchmark's modality."""
    of: Known | None = None
    """The known benchmark that this is; the one that it is called like, where that one's rows are known."""
    revision: Annotated[str, Field(pattern=REVISION)] | None = None
    """The commit of the known benchmark's repository, 40 hex digits; by default the one that is known."""
    path: RowsPath | None = None
    """A copy of the known benchmark's own rows, in place of the hub: a file, or a directory of files."""
    image_root: ExistingPath | None = None
    """A directory in which pictures are looked up, where a known benchmark's rows have paths."""
    licence: str | None = None
    """Licence of a known benchmark's rows, recorded in the manifest; by default the one that its card declares."""
    modality: Literal["visual", "text"] = "visual"
    """`text` benchmarks have no images; the transfer table compares the two groups. A known benchmark has its own."""
    circular: bool = False
    """Ask a multiple-choice question once for each rotation of its options; it is right where all answers are. A rule,
    which is written for questions that are asked once, is not applied."""
    rule: Known | None = None
    """A benchmark's own scoring rule, reported beside the judge's verdict; it decides nothing. A known one has it."""
    judge_model: JudgeModel | None = None
    """The large model that the rule leaves some responses to; without one they stay undecided."""

    @model_validator(mode="before")
    @classmethod
    def _follows(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(of := data.get("of"), str) and has_rows(of):
            rule = {} if data.get("circular") is True else {"rule": of}
            return {"modality": module(of).MODALITY, **rule, **data}
        return data

    @model_validator(mode="after")
    def _has_one_origin(self) -> Benchmark:
        given = [key for key in ("path", "revision", "image_root", "licence") if getattr(self, key) is not None]
        if self.pool is not None:
            if more := [*(["sources"] if self.sources else []), *(["of"] if self.of else []), *given]:
                raise ValueError(f"pool: a benchmark of held-out rows has no `{more[0]}`; leave one of them out")
            return self
        if given and self.sources:
            raise ValueError(f"{given[0]}: that of a known benchmark's own rows; each of `sources` has its own")
        if given and self.of is None:
            raise ValueError(f"{given[0]}: of whose rows? say `of`, one of {', '.join(filter(has_rows, KNOWN))}")
        if self.sources:
            return self
        if self.of is None:
            raise ValueError("sources: required, but missing")
        if not has_rows(self.of):
            raise ValueError(f"of: of {self.of!r} the rule alone is known; give `sources` and `rule: {self.of}`")
        assert self.own is not None
        hub = self.own.location
        if self.path is None and hub.revision is None:
            raise ValueError(f"revision: required, because none is known of {hub}; {newest(hub.path)}")
        return self

    @model_validator(mode="after")
    def _model_needs_rule(self) -> Benchmark:
        if self.circular and self.rule is not None:
            raise ValueError("rule: it is written for questions that are asked once; with `circular` leave it out")
        if self.judge_model is not None and self.rule is None:
            raise ValueError("judge_model needs `rule`: without one nothing is left to a model")
        return self

    @property
    def own(self) -> Published | None:
        """The benchmark's own rows, None where `sources` have examples."""
        if self.of is None or self.sources or not has_rows(self.of):
            return None
        hub: Hub = module(self.of).SOURCE
        location = hub._replace(revision=self.revision or hub.revision)
        licence = self.licence or hub.licence or UNDECLARED
        return Published(self.of, KNOWN[self.of], location, self.path, self.image_root, licence)

    @property
    def origins(self) -> tuple[Source | Published, ...]:
        """Sources and own rows."""
        return (*self.sources, *([self.own] if self.own else []))


def _called(data: Any) -> Any:
    """Return benchmarks by name, those that are called like one whose rows are known said to be that one."""
    if not isinstance(data, dict):
        return data
    return {
        name: {"of": name, **spec} if isinstance(spec, dict) and isinstance(name, str) and has_rows(name) else spec
        for name, spec in data.items()
    }


Benchmarks = Annotated[dict[Name, Benchmark], BeforeValidator(_called)]
