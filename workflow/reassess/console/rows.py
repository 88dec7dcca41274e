"""What `reassess check` prints of the data: what the sources hold, what is put aside, and what a model would be asked.

It reads the first rows of each source, or all of them, and finds what jobs would refuse hours later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from reassess import prompts
from reassess.console.image_tokens import Told, models
from reassess.data.pool import usable
from reassess.data.right import answer
from reassess.example import DataError, Example, PutAside
from reassess.graph import Graph
from reassess.judge import judge
from reassess.sources.base import RowsSource
from reassess.sources.published import Published
from reassess.sources.repository import UnreachableError
from reassess.study.data import FromSources
from reassess.study.study import Study
from reassess.work.hub import go_offline, offline_once_unreachable

# Rows of each source that are looked at, and examples that are shown of each pool and benchmark.
SAMPLE = 200
SHOWN = 3
# Characters of a prompt or target that are shown.
_SHOWN_CHARACTERS = 1_000


class Found(NamedTuple):
    """What was found.

    Attributes:
        lines: what is printed.
        problems: what a job would refuse, a line each.
        unread: the sources that were not looked at, because the hub cannot be reached.
    """

    lines: list[str]
    problems: list[str]
    unread: list[str]


def overview(graph: Graph, every: bool = False) -> Found:
    """Return what the pools and benchmarks of a study hold.

    Args:
        graph: the study.
        every: read all rows, and not the first of each source.
    """
    with offline_once_unreachable():
        return _overview(graph, every)


def _overview(graph: Graph, every: bool) -> Found:
    study = graph.study
    told = models(study)
    how = "all rows" if every else f"the first {SAMPLE} rows of each source; `--data` reads all"
    found = Found([f"data ({how}):"], [], [])
    for name in study.pools:
        readers = [run for run in graph.runs.values() if run.pool == name]
        stage = next((run.stage for run in readers if study.all_stages[run.stage].imitates), None)
        largest = max((run.size for run in readers if run.size is not None and not run.on), default=0)
        held_out = study.pools[name].held_out or 0
        seen = _collection(found, f"pools.{name}", study.pools[name], told, every, study, stage)
        if seen.is_all and seen.used - held_out < largest:
            held = f" with held_out: {held_out}" if held_out else ""
            found.problems.append(f"pools.{name}: {seen.used} examples can be used, fewer than sizes: {largest}{held}")
    for name, benchmark in study.benchmarks.items():
        if benchmark.pool is not None:
            found.lines.append(f"  benchmarks.{name}\n    held out of pool {benchmark.pool}")
            continue
        _collection(found, f"benchmarks.{name}", benchmark, told, every, study, None)
    if every:
        try:
            found.lines.extend(_overlaps(graph))
        except (DataError, OSError) as error:
            # What cannot be read was said above, unless it was built before and is damaged since.
            if not any(str(error) in problem for problem in found.problems):
                found.problems.append(str(error))
    if found.unread:
        unread = f"not looked at: {len(found.unread)} sources; check again where the hub can be reached"
        found.lines.extend(["", unread])
    found.lines.extend(["", *told.lines()] if told.readers else [])
    return found


class _Seen:
    """What was seen of one pool or benchmark."""

    def __init__(self) -> None:
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.first: dict[tuple[str, str], str] = {}
        self.kinds: Counter[str] = Counter()
        self.noted: Counter[str] = Counter()
        self.images: Counter[int] = Counter()
        self.thoughts = 0
        self.shown: list[Example] = []
        self.ids: set[str] = set()
        # Whether all sources were read to their ends.
        self.is_all = True

    @property
    def used(self) -> int:
        return self.kinds.total()

    @property
    def rows(self) -> int:
        return self.used + self.reasons.total()

    def add(self, item: Example | PutAside) -> None:
        if isinstance(item, Example) and item.id in self.ids:
            item = PutAside(item.id, item.source, "id stands twice", "id")
        if isinstance(item, PutAside):
            why = (item.column, item.reason)
            self.reasons[why] += 1
            self.first.setdefault(why, item.id)
            return
        self.ids.add(item.id)
        self.kinds[item.kind] += 1
        self.images[len(item.images)] += 1
        self.thoughts += bool(item.rationales)
        if len(self.shown) < SHOWN:
            self.shown.append(item)

    def lines(self) -> Iterator[str]:
        """Yield what there is, what is put aside and what was rewritten."""
        images = ", ".join(f"{count} with {n}" for n, count in sorted(self.images.items()))
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common())
        yield f"{self.used} usable: {kinds or 'none'}; images: {images or 'none'}; {self.thoughts} with a rationale"
        for (column, reason), count in self.reasons.most_common():
            where = f"{column}, " if column else ""
            yield f"put aside: {count} x {reason} ({where}the first is {self.first[column, reason]!r})"
        noted = [f"{count} x {what}" for what, count in self.noted.most_common() if count]
        if noted:
            yield f"noted: {', '.join(noted)}"


def _collection(
    found: Found, where: str, spec: FromSources, told: Told, every: bool, study: Study, stage: str | None
) -> _Seen:
    """Look at one pool or benchmark; `stage` imitates its rationales."""
    measures = [
        name
        for name, it in study.measures.items()
        if it.READS_RESPONSES and where in (f"pools.{it.on}", f"benchmarks.{it.on}")
    ]
    seen = _Seen()
    found.lines.append(f"  {where}")
    for source in spec.origins:
        found.lines.append(f"    {_called(source)}")
        try:
            if isinstance(source, RowsSource):
                found.lines.append(f"      {source.described()}")
            before = seen.rows
            for item in usable(spec, source.read() if every else source.sample(SAMPLE), seen.noted):
                seen.add(item)
                if isinstance(item, Example):
                    told.add(where, item, every)
            seen.is_all &= every or seen.rows - before < SAMPLE
        except (DataError, OSError) as error:
            seen.is_all = False
            if isinstance(error, UnreachableError) and not every:
                # Nothing is wrong with the study, and jobs may run where the hub can be reached.
                found.unread.append(_called(source))
                found.lines.append("      not looked at: the hub cannot be reached")
                go_offline()
            else:
                found.problems.append(f"{where}: {error}")
    found.lines.extend(f"      {line}" for line in (seen.lines() if seen.rows else ("no rows were read",)))
    found.lines.extend(f"      {line}" for item in seen.shown for line in shown(item, study.prompt))
    if seen.rows and not seen.used:
        found.problems.append(f"{where}: not one of {seen.rows} rows can be used; {next(iter(seen.reasons))[1]}")
    elif seen.reasons.total() > spec.max_put_aside * seen.rows:
        found.problems.append(
            f"{where}: {seen.reasons.total()} of {seen.rows} rows cannot be used, more than max_put_aside "
            f"{spec.max_put_aside}; mend the source, or raise it"
        )
    if stage is not None and seen.thoughts < seen.used:
        found.problems.append(
            f"{where}: {seen.used - seen.thoughts} of {seen.used} examples have no rationale, which stage {stage!r} "
            "imitates; give every example one, or leave SFT out of the recipes"
        )
    for name in measures if seen.used and not seen.thoughts else ():
        found.problems.append(f"{where}: not one of {seen.used} examples has a rationale, which measures.{name} reads")
    return seen


def _overlaps(graph: Graph) -> Iterator[str]:
    """Yield what pools have in common with benchmarks that they are not decontaminated against."""
    # SciPy takes a second to import.
    from reassess.data.overlaps import overlaps

    for pool in graph.study.pools:
        for benchmark, found in overlaps(graph, pool).items():
            if any(found.values()):
                counts = ", ".join(f"{n} by {what}" for what, n in found.items() if n)
                yield f"  rows of pools.{pool} stand in benchmarks.{benchmark}: {counts} (docs/decontamination.md)"


def _called(source: object) -> str:
    """Return what a source is, in a few words."""
    if isinstance(source, Published):
        return str(source.location) if source.path is None else f"{source.of}: {source.path}"
    return " ".join(str(value) for key in ("kind", "name", "path") if (value := getattr(source, key, "")))


def shown(item: Example, prompt: prompts.Prompt) -> Iterator[str]:
    """Yield the lines that show an example: what is asked, what SFT would imitate, and the judge's word on that."""
    sizes = ", ".join(f"{picture.width}x{picture.height}" for picture in item.pil())
    yield f"example {item.id!r}{f', images {sizes}' if sizes else ''}"
    yield from _quoted("prompt", prompts.question_text(item.question, item.options, prompt))
    said = answer(item.gold)
    target = prompts.target(item.rationales[0], said, prompt) if item.rationales else f"<answer>{said}</answer>"
    yield from _quoted("target" if item.rationales else "answer", target)
    verdict = judge(target, item.gold, item.kind, item.options or None)
    word = {True: "right", False: "wrong", None: "not scored"}[verdict.correct]
    yield f"  gold {item.gold!r} ({item.kind}): the judge calls the target {word} ({verdict.reason})"


def _quoted(what: str, text: str) -> Iterator[str]:
    """Yield a text line by line, cut where it is long, without what would move a terminal's cursor."""
    cut = text[:_SHOWN_CHARACTERS] + (f" ... ({len(text):,} characters)" if len(text) > _SHOWN_CHARACTERS else "")
    plain: Sequence[str] = cut.splitlines() or [""]
    for number, line in enumerate(plain):
        safe = "".join(character if character.isprintable() else repr(character)[1:-1] for character in line)
        yield f"  {what + ':' if number == 0 else '':8} {safe}"
