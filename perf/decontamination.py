"""Measures what `decontaminate` finds and what it takes for the same, with pictures and texts that are drawn here or
lie in installed packages, and how long it takes.

    python perf/decontamination.py [--n 150] [--distances]

Planted copies of a benchmark's rows should be found (recall), other rows of the same kind should not (false alarms).
`--distances` counts for other limits of the distance of hashes too: so the one in `data/same_picture.py` was chosen.
"""

from __future__ import annotations

import argparse
import io
import itertools
import pydoc_data.topics
import random
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reassess.data import same_picture
from reassess.data.decontaminate import Decontamination
from reassess.example import Example
from reassess.study.data import Decontaminate

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Picture = Image.Image
WORDS = [
    *("revenue", "cost", "year", "region", "apples", "oranges", "Monday", "Tuesday", "sales", "index", "growth"),
    *("rate", "count", "north", "south", "east", "west", "alpha", "beta", "gamma", "rain", "sun", "wind", "gas"),
    *("coal", "solar", "hydro", "steel", "wheat"),
]
FONT = ImageFont.load_default(16)
LIMITS = (16, 24, 32, 40, 48, 56)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=150, help="pictures of each kind in the benchmark (default: 150)")
    parser.add_argument("--distances", action="store_true", help="count for other limits of the distance too")
    args = parser.parse_args()
    texts(random.Random(0))
    pictures(args.n, random.Random(0), LIMITS if args.distances else (same_picture.DISTANCE,))
    speed(random.Random(0))


def example(id_: str, question: str, images: Sequence[Picture | bytes] = (), options: Sequence[str] = ()) -> Example:
    """Return an example with pictures, in PNG where they are not encoded."""
    encoded = tuple(image if isinstance(image, bytes) else png(image) for image in images)
    return Example(id_, encoded, question, tuple(options), "1", "text", (), "perf", "", 0)


def png(picture: Picture) -> bytes:
    """Return a picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


# Pictures


def chart(kind: str, shape: random.Random, words: random.Random) -> Picture:
    """Return a chart: its form comes from one generator, its words from the other."""
    figure, axes = plt.subplots(figsize=shape.choice([(4, 3), (5, 4), (6, 4)]), dpi=80)
    n = shape.randint(3, 8)
    names = words.sample(WORDS, n)
    if kind == "bars":
        for series in range(shape.randint(1, 3)):
            axes.bar([i + 0.25 * series for i in range(n)], [shape.uniform(1, 100) for _ in range(n)], width=0.25)
        axes.set_xticks(range(n), names, rotation=shape.choice([0, 45]))
    elif kind == "lines":
        for _ in range(shape.randint(1, 4)):
            axes.plot([shape.uniform(1, 100) for _ in range(n)], label=words.choice(WORDS))
        axes.legend(loc="upper right")
    elif kind == "pies":
        axes.pie([shape.uniform(1, 10) for _ in range(n)], labels=names)
    else:
        axes.scatter([shape.gauss(0, 1) for _ in range(40)], [shape.gauss(0, 1) for _ in range(40)])
    axes.set_title(" ".join(words.sample(WORDS, 3)).title())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    return Image.open(buffer).convert("RGB")


def geometry(shape: random.Random, words: random.Random) -> Picture:
    """Return a triangle, a quadrangle or a circle with letters at its corners and numbers at its sides."""
    width, height = shape.choice([(300, 240), (400, 300), (360, 360)])
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    kind = shape.choice(["triangle", "triangle", "triangle", "quadrangle", "circle"])
    n = 4 if kind == "quadrangle" else 3
    points = [(shape.uniform(0.1, 0.9) * width, shape.uniform(0.1, 0.9) * height) for _ in range(n)]
    if kind == "circle":
        radius = 0.4 * min(width, height)
        pen.ellipse(
            (width / 2 - radius, height / 2 - radius, width / 2 + radius, height / 2 + radius), outline="black", width=2
        )
        angles = [shape.uniform(0, 2 * np.pi) for _ in range(3)]
        points = [(width / 2 + radius * np.cos(angle), height / 2 + radius * np.sin(angle)) for angle in angles]
    pen.polygon(points, outline="black", width=2)
    for (x, y), (to_x, to_y) in zip(points, [*points[1:], points[0]], strict=True):
        pen.text((x + 4, y - 14), words.choice("ABCDEFGHJKLMN"), fill="black", font=FONT)
        pen.text(((x + to_x) / 2 + 4, (y + to_y) / 2), str(words.randint(2, 99)), fill="black", font=FONT)
    return picture


def photographs() -> list[Picture]:
    """Return tiles, which do not overlap, of the photographs in scikit-learn and matplotlib."""
    from sklearn.datasets import load_sample_images

    found = []
    whole = [Image.fromarray(image) for image in load_sample_images().images]
    whole.append(Image.open(f"{matplotlib.get_data_path()}/sample_data/grace_hopper.jpg").convert("RGB"))
    for photograph in whole:
        for x in range(0, photograph.width - 63, 64):
            for y in range(0, photograph.height - 63, 64):
                found.append(photograph.crop((x, y, x + 64, y + 64)).resize((256, 256), Image.Resampling.LANCZOS))
    return found


def published(part: str) -> Iterator[tuple[str, str]]:
    """Yield the file and a question of each picture of easy-VQA; they are 64 pixels high."""
    import easy_vqa

    paths = getattr(easy_vqa, f"get_{part}_image_paths")()
    asked = {image: question for question, _, image in zip(*getattr(easy_vqa, f"get_{part}_questions")(), strict=True)}
    return ((path, asked[image]) for image, path in paths.items() if image in asked)


def kinds(n: int, rng: random.Random) -> dict[str, tuple[list[Picture], list[Picture]]]:
    """Return pictures of each kind: those of the benchmark, and others."""
    from sklearn.datasets import load_digits

    from reassess.sources import scenes
    from reassess.sources.toy import FAMILIES

    drawn: dict[str, Callable[[], Picture]] = {
        name: partial(chart, name, rng, rng) for name in ("bars", "lines", "pies", "scatter")
    } | {"geometry": partial(geometry, rng, rng)}
    found = {name: [draw() for _ in range(2 * n)] for name, draw in drawn.items()}
    found["photographs"] = photographs()
    found["easy-vqa"] = [Image.open(path).convert("RGB") for path, _ in itertools.islice(published("test"), 2 * n)]
    found["toy"] = [item.pil()[0] for item in scenes.draw(2 * n, FAMILIES, "train")]
    found["digits"] = [Image.fromarray((image * 15).astype(np.uint8)).convert("RGB") for image in load_digits().images]
    for pictures_ in found.values():
        rng.shuffle(pictures_)
    return {name: (found_[:n], found_[n : 2 * n]) for name, found_ in found.items()}


def encoded(picture: Picture, form: str, quality: int) -> bytes:
    """Return a picture as a file that loses something."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form, quality=quality)
    return buffer.getvalue()


def resized(picture: Picture, factor: float) -> Picture:
    """Return a picture in another size."""
    return picture.resize((max(1, round(picture.width * factor)), max(1, round(picture.height * factor))))


def cropped(picture: Picture, share: float, rng: random.Random) -> Picture:
    """Return a picture without up to a share of its width and of its height, from either end."""
    width, height = picture.size
    x, y = rng.uniform(0, share) * width, rng.uniform(0, share) * height
    left, upper = rng.random() * x, rng.random() * y
    return picture.crop((round(left), round(upper), round(width - x + left), round(height - y + upper)))


COPIES: dict[str, Callable[[Picture, random.Random], Picture | bytes]] = {
    **{f"JPEG {q}": lambda picture, _, q=q: encoded(picture, "JPEG", q) for q in (30, 60, 90)},
    "WebP 30": lambda picture, _: encoded(picture, "WEBP", 30),
    **{f"x {f}": lambda picture, _, f=f: resized(picture, f) for f in (0.3, 0.5, 2)},
    **{f"crop {c} %": lambda picture, rng, c=c: cropped(picture, c / 100, rng) for c in (5, 10, 15)},
    "x 0.6, crop 10 %, JPEG 60": lambda p, rng: encoded(resized(cropped(p, 0.1, rng), 0.6), "JPEG", 60),
}


def pictures(n: int, rng: random.Random, limits: Sequence[int]) -> None:
    """Print recall for each kind of copy, and false alarms among others, both for each kind of picture."""
    found = kinds(n, rng)
    rows = {f"{kind} {i}": mine for kind, (own, _) in found.items() for i, mine in enumerate(own)}
    benchmark = (example(id_, "?", [picture]) for id_, picture in rows.items())
    same_picture.DISTANCE = max(limits)
    looked_up = Decontamination(Decontaminate(against=("b",), text=False), {"b": benchmark})
    distances: dict[tuple[str, str], list[int]] = {}
    for kind, (own, others) in found.items():
        for name, copy in COPIES.items():
            planted = [(f"{kind} {i}", copy(picture, rng)) for i, picture in enumerate(own)]
            distances[kind, name] = [nearest(looked_up, image, id_) for id_, image in planted if not blank(image)]
        distances[kind, ""] = [nearest(looked_up, picture) for picture in others if not blank(picture)]
    for limit in limits:
        print(f"\npictures: distance of at most {limit}")
        print("| kind | " + " | ".join(COPIES) + " | false alarms |")
        print("|---|" + "---|" * (len(COPIES) + 1))
        for kind in found:
            shares = [np.mean(np.array(distances[kind, name]) <= limit) for name in (*COPIES, "")]
            print(f"| {kind} | " + " | ".join(f"{100 * share:.0f} %" for share in shares) + " |")
        every = [d for (_, name), ds in distances.items() if name for d in ds]
        print(f"all copies: {100 * np.mean(np.array(every) <= limit):.1f} % of {len(every)}")
    print(f"blank, not compared: {looked_up.described()['decontamination']['blank_pictures']}")
    labels(rng, min(n, 100))


def blank(image: Picture | bytes) -> bool:
    """Whether a picture is not compared."""
    return same_picture.is_blank(same_picture.reduced(example("", "", [image]).pil()[0]))


def nearest(looked_up: Decontamination, image: Picture | bytes, id_: str | None = None) -> int:
    """Return the distance of the nearest picture of a benchmark, or of the one with an id; 999 where none is near."""
    looks = looked_up.looks_like(example("", "", [image]))
    return min((d for row, d in looks.items() if id_ in (None, looked_up.rows[row][1])), default=999)


def labels(rng: random.Random, n: int) -> None:
    """Print how many pictures are taken for the same that differ in their words and numbers alone."""
    print("\npictures that differ in labels alone, taken for the same:")
    for kind in ("bars", "lines", "pies", "geometry"):
        draw = geometry if kind == "geometry" else partial(chart, kind)
        same = 0
        for i in range(n):
            one, other = (draw(random.Random(i), random.Random(rng.random())) for _ in range(2))
            looked_up = Decontamination(Decontaminate(against=("b",), text=False), {"b": [example("0", "?", [one])]})
            same += bool(looked_up.matches(example("1", "?", [other])))
        print(f"  {kind}: {100 * same / n:.0f} %")


# Texts


def paragraphs() -> list[str]:
    """Return paragraphs of the reference of Python, of 20 to 120 words."""
    found = [" ".join(part.split()) for text in pydoc_data.topics.topics.values() for part in text.split("\n\n")]
    return sorted({part for part in found if 20 <= len(part.split()) <= 120})


def problems(n: int, rng: random.Random) -> list[tuple[str, tuple[str, ...]]]:
    """Return word problems of a few templates, with options: they share many words, and differ in names and numbers."""
    templates = (
        "As shown in the figure, the side {a} of triangle ABC has a length of {x} cm and the angle at {b} is {y} "
        "degrees. Find the length of the side {c}.",
        "A {a} costs {x} dollars and a {b} costs {y} dollars. How many dollars do {z} of the first and {w} of the "
        "second cost together?",
        "According to the chart, what is the difference between the {a} in {x} and the {b} in {y}, in percent?",
    )
    found = []
    for _ in range(n):
        a, b, c = rng.sample(WORDS, 3)
        x, y, z, w = (rng.randint(2, 99) for _ in range(4))
        text = rng.choice(templates).format(a=a, b=b, c=c, x=x, y=y, z=z, w=w)
        found.append((text, tuple(str(rng.randint(2, 999)) for _ in range(4))))
    return found


def retyped(item: Example, rng: random.Random) -> Iterator[tuple[str, Example]]:
    """Yield an example as other people's files have it."""
    text, options = item.question, item.options
    yield "as it is", item
    yield "upper case, other spaces", example("", textwrap.fill(text.upper(), rng.randint(30, 60)), (), options)
    yield "no punctuation", example("", "".join(c if c.isalnum() else " " for c in text), (), options)
    inline = "\n".join([text, *(f"({chr(65 + i)}) {option}" for i, option in enumerate(options))])
    yield "options in the question", example("", inline)
    hint = "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end."
    yield "with a hint", example("", f"<image>{hint}\nQuestion: {text}", (), options)
    yield "inside of more", example("", f"Solve this one. {text} Give a reason for each of your steps.", (), options)


def texts(rng: random.Random) -> None:
    """Print recall for each form of a copy, and false alarms among others."""
    prose = paragraphs()
    rng.shuffle(prose)
    drawn = problems(1000, rng)
    asked = sorted({question for _, question in published("test")})[:400]
    others = sorted({question for _, question in published("train")} - set(asked))[:1000]
    sets = {
        "prose": ([(text, ()) for text in prose[:400]], [(text, ()) for text in prose[400:1400]]),
        "word problems of three templates": (drawn[:500], drawn[500:]),
        "easy-VQA, 4 to 8 words": ([(text, ()) for text in asked], [(text, ()) for text in others]),
    }
    print("texts: planted copies found, and false alarms")
    for name, (own, rest) in sets.items():
        benchmark = [example(f"{i}", text, (), options) for i, (text, options) in enumerate(own)]
        pool = [example(f"p{i}", text, (), options) for i, (text, options) in enumerate(rest)]
        copies = [pair for item in benchmark for pair in retyped(item, rng)]
        looked_up = Decontamination(Decontaminate(against=("b",), images=False), {"b": benchmark})
        looked_up.count(iter([*pool, *(item for form, item in copies if form == "as it is")]))
        said: dict[str, list[bool]] = {}
        for form, item in copies:
            said.setdefault(form, []).append(bool(looked_up.matches(item)))
        false = [looked_up.matches(item) for item in pool]
        shares = ", ".join(f"{form} {100 * np.mean(found):.1f} %" for form, found in said.items())
        print(f"  {name} ({len(own)} in the benchmark): {shares}; false alarms: {sum(map(bool, false))} of {len(rest)}")
        print(f"    n-grams of boilerplate: {looked_up.described()['decontamination']['boilerplate']}")


# Time


def speed(rng: random.Random) -> None:
    """Print how long it takes to hash pictures, and to look one up among as many hashes as 10,000 pictures have."""
    some = [png(geometry(rng, rng)) for _ in range(100)]
    start = time.process_time()
    index = same_picture.Pictures()
    for row, image in enumerate(some):
        index.add(row, "b", image)
    added = (time.process_time() - start) / len(some)
    many = same_picture.Pictures()
    for row in range(10_000):
        many.take(
            row, rng.choice([0.0, 0.1, 0.2, 0.3]), np.frombuffer(rng.randbytes(225 * 32), np.uint64).reshape(-1, 4)
        )
    many.like(some[0])
    start = time.process_time()
    for image in some:
        many.like(image)
    looked_up = (time.process_time() - start) / len(some)
    print(f"\na picture of a benchmark: {1e3 * added:.1f} ms; one looked up among 10,000: {1e3 * looked_up:.1f} ms")
    print(f"50,000 pictures: {50_000 * looked_up / 60:.0f} minutes")


if __name__ == "__main__":
    main()
