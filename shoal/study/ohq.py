"""OHQ: mixed precision chosen on the device from measured operator costs and masked sensitivity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shoal.errors import InputError, LimitError
from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Claim,
    Finding,
    Holds,
    Shown,
    Source,
    untestable,
    words,
)

if TYPE_CHECKING:
    from shoal.study._digits import Digits
    from shoal.study._ohq_runs import Network

IMAGENET = "takes ImageNet; what is left of the float network's answers on real photos stands in for it"


@dataclass(frozen=True)
class Ohq:
    """Each op of a network is timed on this machine in each format, and each layer's loss in each format is estimated.

    An integer programme picks the formats; the mixed network is then run by the engine on its real kernels and timed
    whole. EfficientNet-Lite0 is judged by what is left of its own answers to crops of real photos, networks trained on
    handwritten digits by their accuracy. All weights are rounded to the nearest value, whoever picked the formats.
    A device that is not here (time ∝ bits) is modelled by multiply-accumulates times bits of the weights.
    """

    judged: str = "efficientnet"  # by its own answers: that, or "digits" for the convolutional network below
    calibration: int = 8  # crops that losses are estimated on
    photos: int = 300  # crops that networks are judged on
    formats: str = "int2+int3+int4+int5+int6+int8"  # of weights, for a size; separated by +
    sizes: str = "int4+int5+int6"  # whose bytes, everywhere but in the first and last layer, the programme has
    sensitivity: str = "kl"  # the measure that losses are estimated by
    rounds: int = 5  # in which networks are timed in turn
    probe_s: float = 0.2  # s, for which an op is run at most
    tables: int = 60  # made-up ones that the programme is checked on
    epochs: int = 30  # of training on digits
    tested: int = 597  # digits that networks are judged on, of those not trained on
    width: int = 2048  # of the perceptron
    engine: str = "onnxruntime"  # of the perceptron; or native, for shoal's own kernels
    steps: int = 12  # of the sweep over the modelled device's time
    seed: int = 0  # of crops, training and rivals

    title = "OHQ: mixed precision from measured operator costs and masked sensitivity"
    source = Source(
        "Huang et al.", "On-Chip Hardware-Aware Quantization for Mixed Precision Neural Networks", 2023,
        arxiv="2309.01945",
    )  # fmt: skip
    quick = (
        "judged=digits,formats=int3+int4+int8,sizes=int4,rounds=1,probe_s=0.002,tables=4,epochs=2,width=128,steps=2,"
        "tested=100"
    )
    claims = (
        Claim("optimum", "the programme's answer is the best of all combinations of up to 8 layers", None, "", Holds()),
        Claim("infeasible", "a limit that nothing keeps is named, with the least that could be kept", None, "", Holds()),
        Claim("size", "EfficientNet-Lite0 in as many bytes as one format: KL over uniform's", "better", "×", AtMost(0.99)),
        Claim("size_top1", "… likeliest class as in float, more often than uniform's by", "better", "%", AtLeast(0.0)),
        Claim("time", "… in the measured time of int8, and of int4, everywhere: KL over uniform's", "better", "×", AtMost(1.0)),
        Claim("time_kept", "… its measured time over uniform's", None, "×", AtMost(1.05)),
        Claim("predicted", "sum of measured ops off the measured time of the whole, the worst network", None, "%", AtMost(15.0)),
        Claim("slower", "where 4 bits are not faster than 8 here, 8 are taken", None, "", Holds()),
        Claim("faster", "perceptron whose 4-bit kernels are faster: measured time below int8", "15 to 30 %", "%", AtLeast(10.0)),
        Claim("digits", "digits CNN in as many bytes as int3 (ends int8): accuracy above uniform's by", "better", "%", AtLeast(0.0)),
        Claim("device", "device with time ∝ bits: time below int8 with at most 1 % of accuracy lost", "15 to 30 %", "%", AtLeast(15.0)),
        Claim("rank", "Kendall's τ of masked estimates and true losses of single layers", None, "", AtLeast(0.5)),
        Claim("resnet18", "ResNet-18 on ImageNet, top-1", 70.0, "%", AtLeast()),
        Claim("mobilenetv3", "MobileNetV3 on ImageNet, top-1", 73.0, "%", AtLeast()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """The programme alone first; then a network judged by its own answers, and those trained on digits."""
        yield from self._programme(bench)
        yield from self._judged(bench)
        yield from self._digits(bench)
        yield untestable("resnet18", IMAGENET)
        yield untestable("mobilenetv3", IMAGENET)

    def _programme(self, bench: Bench) -> Iterator[Shown]:
        from shoal.compress import Budget, allocate, total
        from shoal.study._ohq_rivals import exhaustive, tables

        best, named = [], []
        for number in bench.each(range(self.tables), "made-up table"):
            options, budget = tables(self.seed * 1000 + number, 5 + number % 4, 1 + number % 3)
            least, count = exhaustive(options, budget)
            if count:
                best.append(abs(total(options, allocate(options, budget), "loss") - least) <= 1e-9 + 1e-6 * least)
            name = next(iter(budget.limits))
            lowest = sum(min(getattr(each, name) for each in some) for some in options.values())
            try:
                allocate(options, replace(budget, **{name: 0.5 * lowest}))
            except LimitError as fault:
                named.append(Budget().told(name, lowest) in str(fault.had) or len(budget.limits) > 1)
        yield Finding("optimum", all(best), "computed", len(best))
        yield Finding("infeasible", len(named) == self.tables and all(named), "computed", len(named))

    def _judged(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._ohq_judged import size, time
        from shoal.study._ohq_options import FLOAT, options_of

        try:
            network = self._photos(bench) if self.judged == "efficientnet" else self._trained(bench)[0]
        except InputError as fault:
            for key in ("size", "size_top1", "time", "time_kept", "predicted", "slower"):
                yield untestable(key, _why(fault))
            return
        options = options_of(network, (*words(self.formats), FLOAT), self.sensitivity)
        yield from size(self, bench, network, options)
        yield from time(self, bench, network, options)

    def _photos(self, bench: Bench) -> Network:
        from shoal.study._crops import crops, efficientnet
        from shoal.study._ohq_options import folder_of, opened_in
        from shoal.study._ohq_runs import Network

        path, folder = efficientnet(), folder_of(bench, "photos")
        given, test = crops(self.calibration, self.seed), crops(self.photos, self.seed + 1)
        return Network(opened_in(bench, path), given, test, folder)

    def _digits(self, bench: Bench) -> Iterator[Shown]:
        from shoal.study._ohq_trained import accuracies, faster, rank

        try:
            convolutional, dense, test = self._trained(bench)
        except InputError as fault:
            for key in ("faster", "digits", "device", "rank"):
                yield untestable(key, _why(fault))
            return
        yield from accuracies(self, bench, convolutional, test)
        yield from rank(bench, convolutional, test)
        yield from faster(self, dense, test)

    def _trained(self, bench: Bench) -> tuple[Network, Network, Digits]:
        """A convolutional network and a perceptron, trained once, and what they are tested with."""
        from shoal.study import _digits
        from shoal.study._ohq_options import folder_of, opened_in
        from shoal.study._ohq_runs import Network

        train, test = _digits.digits(self.seed, self.tested)
        files = bench.scratch / "digits.onnx", bench.scratch / "perceptron.onnx"
        if not files[0].exists():
            bench.say("training on digits")
            _digits.convolutional(files[0], train, self.epochs, self.seed)
            _digits.dense(files[1], train, max(1, self.epochs // 3), self.width, self.seed)
        convolutional, dense = (
            Network(opened_in(bench, path), train.samples(32), test.samples(), folder_of(bench, path.stem), engine)
            for path, engine in zip(files, ("onnxruntime", self.engine), strict=True)
        )
        return convolutional, dense, test


def _why(fault: InputError) -> str:
    return f"{fault.message}: {fault.hint}" if fault.hint else fault.message
