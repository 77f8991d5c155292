"""What the study of HGF finds, arm by arm and file by file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import InputError, WorkError
from shoal.study._hgf_arms import TERNARY, Arm, Course, Trained, built, corrected
from shoal.study._hgf_files import File, exported, greedy
from shoal.study._ohq_runs import seconds
from shoal.study.contract import Chart, Finding, Note, Series, Shown, Table
from shoal.train.language import corpus, fit_language, losses, runner
from shoal.train.ternary import shut

if TYPE_CHECKING:
    from shoal.study._bench import Bench

Trio = tuple[File, File, File]
KINDS = ("float32", "ternary", "corrected")
RISE = 0.5  # nats above the lowest loss before, at the end: it does not converge
COMPARED = 16  # stretches whose logits are compared
PROMPT = 32  # bytes


def unstable(
    course: Course, arm: Arm, seeds: Sequence[int], found: Mapping[str, Sequence[Trained]]
) -> Iterator[Shown]:
    """Whether this arm converges, and all arms beside it."""
    rows = [(name, *_spread([each.held for each in some])) for name, some in found.items()]
    try:
        own = [course.trained(arm, seed) for seed in seeds]
    except WorkError as fault:
        yield Finding("unstable", True, "measured", len(seeds), why=fault.message)
    else:
        rows.append((arm.name, *_spread([each.held for each in own])))
        risen = max(_risen(each) for each in own)
        why = f"as observed: at the end at most {risen:.2f} nats above the lowest loss before; {arm.name} ends at "
        yield Finding("unstable", risen > RISE, "measured", len(own), why=f"{why}{rows[-1][1]:.3f} nats a byte")
    yield Table("Arms: loss of text held out, nats a byte", ("arm", "mean of seeds", "lowest", "highest"), rows,
                f"{course.recipe.steps} steps of {course.recipe.batch * course.decoder.context} bytes at one rate of "
                "learning; published: 2500 and more")  # fmt: skip
    curves = tuple(Series(name, *_curve(some[0])) for name, some in found.items())
    yield Chart("Training", "step", "loss, nats a byte", curves)


def exported_all(trio: Sequence[Trained], folder: Path) -> Trio:
    """Files of float32, ternary and corrected decoders."""
    plain, ternary, hybrid = (
        exported(each, each.course.decoder.context, folder / str(at)) for at, each in enumerate(trio)
    )
    return plain, ternary, hybrid


@dataclass(frozen=True)
class Held:
    """Losses of three files, run by their engines, nats a byte."""

    plain: float
    ternary: float
    hybrid: float

    @property
    def share(self) -> float:
        """Of the gap that is made good, %."""
        return self.recovered(self.hybrid)

    def recovered(self, other: float) -> float:
        """The share that another loss makes good; 0 where there is no gap."""
        gap = self.ternary - self.plain
        return 100 * (self.ternary - other) / gap if gap > 0 else 0.0


def held_losses(trio: Trio, course: Course) -> Held:
    """Of one seed's files."""
    return Held(*(held_loss(file, course) for file in trio))


def judged(files: Sequence[Trio], found: Sequence[Held], arms: Mapping[str, Sequence[Trained]]) -> Iterator[Shown]:
    """Order, share and bytes."""
    ordered = all(each.plain < each.hybrid < each.ternary for each in found)
    yield Finding("order", ordered, "measured", len(found), why="from the exported files")
    shares = [each.share for each in found]
    afterwards = next(some for name, some in arms.items() if name.endswith("afterwards"))
    later = [each.recovered(one.held) for each, one in zip(found, afterwards, strict=True)]
    yield Finding("recovered", mean(shares), "measured", len(shares), (min(shares), max(shares)),
                  f"interval: seeds; trained afterwards, for more steps: {mean(later):.0f} %")  # fmt: skip
    over = [overhead(trio) for trio in files]
    whole = [100 * (hybrid.bytes / ternary.bytes - 1) for _, ternary, hybrid in files]
    yield Finding("overhead", mean(over), "computed", len(over), (min(over), max(over)),
                  f"of the whole file, its embedding in float32, {mean(whole):.1f} %")  # fmt: skip
    rows = [
        (at, name, loss, file.layers_bytes / 1000, file.bytes / 1000)
        for at, (trio, each) in enumerate(zip(files, found, strict=True))
        for name, loss, file in zip(KINDS, (each.plain, each.ternary, each.hybrid), trio, strict=True)
    ]
    yield Table("Files", ("seed", "", "loss, nats a byte", "layers, kB", "file, kB"), rows)


def overhead(trio: Trio) -> float:
    """Bytes of the corrected layers above those of the ternary ones, %."""
    return 100 * (trio[2].layers_bytes / trio[1].layers_bytes - 1)


def shut_gates(hybrid: Trained, ternary: Trained, course: Course) -> Finding:
    """Shut, on the weights of the ternary network: exactly its answers."""
    model = built(hybrid.arm, hybrid.course.decoder, 0)
    model.load_state_dict(hybrid.model.state_dict())
    model.load_state_dict(ternary.model.state_dict(), strict=False)
    symbols = course.held.x[:COMPARED]
    wanted, opened = runner(ternary.model)(symbols), runner(model)(symbols)
    shut(model)
    same = np.array_equal(runner(model)(symbols), wanted) and not np.array_equal(opened, wanted)
    return Finding("shut", same, "measured", len(symbols))


def run_by_kernels(hybrid: Trained, file: File, course: Course, letters: int) -> Iterator[Shown]:
    """Logits and text of the exported file beside torch's."""
    run, reference, symbols = file.opened(), runner(hybrid.model), course.held.x[:COMPARED]
    wanted, made = reference(symbols), run(symbols)
    off = [float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(made, wanted, strict=True)]
    yield Finding("logits", max(off), "measured", len(off), why=f"mean {mean(off):.2g}; ‖difference‖ over ‖logits‖")
    start = corpus()[1][: min(PROMPT, course.decoder.context // 2)]
    ours, theirs = (greedy(each, start, letters, course.decoder.context) for each in (run, reference))
    yield Finding("text", ours == theirs, "measured", letters)
    yield Note(f"It goes on from “{_plain(start.tobytes())}” with “{_plain(ours)}”.")


def speed(bench: Bench, pair: Sequence[Trained], rounds: int) -> Iterator[Shown]:
    """Seconds of a place and of a whole stretch, both files in turn."""
    rows, ratios = [], {}
    for places in (1, pair[0].course.decoder.context):
        files = {
            name: exported(each, places, bench.scratch / f"{name}{places}").path
            for name, each in zip(("without", "with"), pair, strict=True)
        }
        took = seconds(files, rounds, "native")
        ratios[places] = took["with"] / took["without"]
        rows.append((places, *(places / took[name] for name in files), ratios[places]))
    yield Finding("slower", ratios[1], "measured", rounds,
                  why="one place at a time, one core, weights in the cache: what ops cost, not what bytes do; "
                      f"a whole stretch: {ratios[pair[0].course.decoder.context]:.2f} ×")  # fmt: skip
    yield Table(
        "Places a second, native kernels, one core", ("places at once", "ternary", "corrected", "time, ×"), rows
    )


def larger(bench: Bench, trio: Sequence[Trained], course: Course) -> Iterator[Shown]:
    """The same share and bytes in a wider decoder."""
    files = exported_all(trio, bench.scratch / "larger")
    found = held_losses(files, course)
    yield Finding("larger_overhead", overhead(files), "computed", 1)
    yield Finding("larger_recovered", found.share, "measured", 1,
                  why=f"{course.recipe.steps} steps; losses {found.plain:.3f}, {found.hybrid:.3f}, {found.ternary:.3f}")  # fmt: skip


def refused(course: Course) -> Finding:
    """A loss that is not finite, and a rank that no layer has."""
    told = []
    model: Any = built(TERNARY, course.decoder, 0)
    model.norm.weight.data.fill_(float("nan"))
    try:
        fit_language(model, corpus()[0], course.recipe, arm="spoilt")
    except WorkError as fault:
        told.append("spoilt, step 0" in fault.message)
    try:
        built(corrected(course.decoder.width + 1), course.decoder, 0)
    except InputError as fault:
        told.append("no correction of this rank" in fault.message)
    return Finding("refused", told == [True, True], "computed", 2)


def held_loss(file: File, course: Course) -> float:
    """Of text held out, by the file's engine, nats a byte."""
    return float(losses(file.opened(), course.held).mean())


def _risen(trained: Trained) -> float:
    """How far the last losses are above the lowest before."""
    count = max(1, len(trained.losses) // 20)
    means = [float(part.mean()) for part in np.array_split(trained.losses, max(1, len(trained.losses) // count))]
    return means[-1] - min(means)


def _curve(trained: Trained, points: int = 50) -> tuple[list[float], list[float]]:
    parts = np.array_split(trained.losses, min(points, len(trained.losses)))
    steps = np.cumsum([len(part) for part in parts])
    return [float(each) for each in steps], [float(part.mean()) for part in parts]


def _spread(some: Sequence[float]) -> tuple[float, float, float]:
    return mean(some), min(some), max(some)


def _plain(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())
