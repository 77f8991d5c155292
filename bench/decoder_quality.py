"""Perplexity of the small decoder in fewer bits: ours and llm-compressor's on the same text, at equal bits.

    python -m bench.decoder_quality [--held 200] [--samples 64] [--bits 4,3,2] [--named shoal]

Weights of all products in groups of 64 with a scale in sixteen bits; embedding, norms and activations stay in float32.
Everyone calibrates with the same stretches of the training text and is judged on held-out text of Python's documentation;
intervals are those of a bootstrap over stretches of the ratio to float32's perplexity. llm-compressor
(github.com/vllm-project/llm-compressor) is measured where it is installed: it gets the same weights as a `LlamaForCausalLM`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from shoal import catalog
from shoal.compress import compress, opened
from shoal.graph import decode, save
from shoal.train.language import Decoder, Stretches, corpus, losses, save_language, stretches, tiny

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Logits = Callable[[I64], Any]
GROUP = 64  # columns that share a scale
DRAWS = 2000  # of the bootstrap
NOT_THERE = (ImportError, RuntimeError, ValueError, TypeError, AttributeError)  # as a peer of another version fails


@dataclass(frozen=True)
class Ground:
    """The decoder, and what it is calibrated with and judged on."""

    decoder: Decoder
    weights: Mapping[str, F32]
    samples: I64  # (n, context)
    held: Stretches


@dataclass(frozen=True)
class Contender:
    """One way to fewer bits."""

    name: str
    make: Callable[[Ground, int, Path], Logits]  # with so many bits a weight, scales apart

    @property
    def ours(self) -> bool:
        """Whether a failure is a defect."""
        return self.name.startswith("shoal")


def ours(*chain: str, form: str = "int{bits}g{group}") -> Callable[[Ground, int, Path], Logits]:
    """`shoal compress` with these techniques."""

    def make(ground: Ground, bits: int, folder: Path) -> Logits:
        path = save_language(ground.decoder, ground.weights, ground.decoder.context, folder / "decoder.onnx")
        name = form.format(bits=bits, group=GROUP)
        techniques = [catalog.make("compress/techniques", each) for each in chain[:-1]]
        last = catalog.make("compress/techniques", f"{chain[-1]}:format={name}")
        given = [{"symbols": each[None]} for each in ground.samples]
        found = compress(opened(path), [*techniques, last], given, skip=())
        save(decode.unpacked(found.model), folder / "coded.onnx")
        return as_onnx(folder / "coded.onnx")

    return make


def as_onnx(path: Path) -> Logits:
    """The file in onnxruntime, a stretch at a time."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda symbols: np.concatenate([session.run(None, {"symbols": each[None]})[0] for each in symbols])


def plain(ground: Ground, bits: int, folder: Path) -> Logits:
    """The decoder as it is."""
    return as_onnx(save_language(ground.decoder, ground.weights, ground.decoder.context, folder / "decoder.onnx"))


def llm_compressor(modifier: str, ground: Ground, bits: int, folder: Path) -> Logits:
    """The peer: one of its modifiers on the same weights."""
    import torch
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    model = as_llama(ground, folder / "llama")
    weights = QuantizationArgs(num_bits=bits, type="int", symmetric=True, strategy="group", group_size=GROUP)
    groups = {"all": QuantizationScheme(targets=["Linear"], weights=weights)}
    unused = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE())
    )  # it wants one; the samples are bytes
    kind = {"GPTQ": GPTQModifier, "nearest": QuantizationModifier}[modifier]
    items = [{"input_ids": row, "attention_mask": torch.ones_like(row)} for row in torch.from_numpy(ground.samples)]
    rows = torch.utils.data.DataLoader(items, batch_size=1)
    oneshot(model=model, dataset=rows, recipe=[kind(config_groups=groups, ignore=["lm_head"])], processor=unused,
            num_calibration_samples=len(ground.samples), max_seq_length=ground.decoder.context,
            pipeline="sequential" if modifier == "GPTQ" else "datafree", log_dir=str(folder))  # fmt: skip

    def run(symbols: I64) -> F32:
        with torch.no_grad():
            found: F32 = model(torch.from_numpy(symbols)).logits.float().numpy()
        return found

    return run


def as_llama(ground: Ground, folder: Path) -> Any:
    """The decoder in Hugging Face's form, read from files as the peer wants it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    own = ground.decoder
    config = LlamaConfig(
        vocab_size=own.vocabulary, hidden_size=own.width, intermediate_size=own.hidden, num_hidden_layers=own.layers,
        num_attention_heads=own.heads, num_key_value_heads=own.heads, max_position_embeddings=own.context,
        rms_norm_eps=own.epsilon, rope_parameters={"rope_type": "default", "rope_theta": own.theta},
        tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    given = {f"model.{name}": torch.from_numpy(each.copy()) for name, each in ground.weights.items()}
    left = model.load_state_dict(given, strict=False)
    if left.unexpected_keys or set(left.missing_keys) - {"lm_head.weight"}:
        raise ValueError(f"other parameters than Llama's: {left}")
    model.save_pretrained(folder)
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


CONTENDERS = (
    Contender("shoal, nearest", ours("rtn")),
    Contender("shoal, nearest, searched", ours("rtn", form="int{bits}sg{group}")),  # scales; the bits are the same
    Contender("shoal, gptq", ours("gptq")),
    Contender("shoal, gptq, searched", ours("gptq", form="int{bits}sg{group}")),
    Contender("shoal, compensate, gptq", ours("compensate", "gptq")),
    Contender("shoal, awq, gptq", ours("awq", "gptq")),
    Contender("shoal, adaround", ours("adaround")),
    Contender("shoal, gptq, bit planes", ours("gptq", form="hlq{bits}g{group}")),
    Contender("llm-compressor, nearest", partial(llm_compressor, "nearest")),
    Contender("llm-compressor, GPTQ", partial(llm_compressor, "GPTQ")),
)


def ground_of(held: int, samples: int) -> Ground:
    """The decoder that comes with shoal, and its text."""
    decoder, weights = tiny()
    training, rest = corpus()
    some = stretches(training, decoder.context).x
    chosen = np.random.default_rng(0).choice(len(some), samples, replace=False)
    apart = stretches(rest, decoder.context)
    picked = np.random.default_rng(1).choice(len(apart.x), min(held, len(apart.x)), replace=False)
    return Ground(decoder, weights, some[chosen], Stretches(apart.x[picked], apart.y[picked]))


def ratio(own: NDArray[np.float64], float32: NDArray[np.float64]) -> tuple[float, float, float]:
    """Perplexity over float32's on the same stretches, and its interval of 95 %."""
    source = np.random.default_rng(0)
    draws = source.integers(0, len(own), (DRAWS, len(own)))
    spread = np.exp((own - float32)[draws].mean(axis=1))
    low, high = np.quantile(spread, (0.025, 0.975))
    return float(np.exp((own - float32).mean())), float(low), float(high)


def contest(ground: Ground, bits: Sequence[int], contenders: Sequence[Contender]) -> list[dict[str, Any]]:
    """Everyone, in every number of bits."""
    with TemporaryDirectory(prefix="shoal-") as folder:
        float32 = losses(plain(ground, 32, Path(folder)), ground.held)
    print(f"float32: perplexity {np.exp(float32.mean()):.4f} over {len(float32)} stretches")
    rows = []
    for count in bits:
        for each in contenders:
            began = time.perf_counter()
            try:
                with TemporaryDirectory(prefix="shoal-") as folder:
                    lost = losses(each.make(ground, count, Path(folder)), ground.held)
            except NOT_THERE as fault:
                if each.ours:
                    raise
                print(f"  {count} bits  {each.name:26} not there: {str(fault).splitlines()[0][:100]}")
                continue
            mean, low, high = ratio(lost, float32)
            took_s = time.perf_counter() - began
            print(f"  {count} bits  {each.name:26} perplexity {np.exp(lost.mean()):.4f}, × {mean:.4f} "
                  f"({low:.4f}…{high:.4f}) of float32's; {took_s:.1f} s", flush=True)  # fmt: skip
            rows.append({"bits": count, "name": each.name, "perplexity": float(np.exp(lost.mean())), "ratio": mean,
                         "interval": (low, high), "seconds": took_s})  # fmt: skip
    return rows


def main() -> None:
    """Print a table and a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--held", type=int, default=200, help="stretches of held-out text")
    parser.add_argument("--samples", type=int, default=64, help="stretches to calibrate with")
    parser.add_argument("--bits", default="4,3,2")
    parser.add_argument("--named", default="", help="contenders whose names hold this")
    options = parser.parse_args()
    chosen = [each for each in CONTENDERS if options.named in each.name]
    ground = ground_of(options.held, options.samples)
    print(json.dumps(contest(ground, [int(each) for each in options.bits.split(",")], chosen)))


if __name__ == "__main__":
    main()
