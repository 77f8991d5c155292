"""Models that go on learning."""

from __future__ import annotations

from shoal.study.coverage.checks import _lab as lab


def adapter() -> dict[str, float]:
    """Thin matrices trained beside a ternary decoder that stays: what they gain on text held out, and their share."""
    from shoal.train import Recipe
    from shoal.train.language import Decoder, built_decoder, corpus, fit_language, losses, parameters, runner
    from shoal.train.ternary import TernaryProducts

    shape, text = Decoder(width=64, layers=1, heads=2, hidden=128, context=64), lab.held(8, 64)
    recipe = Recipe(steps=60, batch=8, optimiser="adamw", rate=1e-2, warmup=0.05, clip=1.0)
    base = built_decoder(shape, 0, TernaryProducts(rank=0).linear)
    fit_language(base, corpus()[0][:200_000], recipe)
    model = built_decoder(shape, 0, TernaryProducts(rank=4).linear)
    model.load_state_dict(base.state_dict(), strict=False)
    before, first = parameters(model), float(losses(runner(model), text).mean())
    for name, each in model.named_parameters():
        each.requires_grad_("side_" in name or "gate" in name)
    fit_language(model, corpus()[0][200_000:400_000], recipe)
    after, last = parameters(model), float(losses(runner(model), text).mean())
    kept = [name for name in before if "side_" not in name and "gate" not in name]
    thin = sum(each.size for name, each in after.items() if name not in kept)
    return {"gain_nats": first - last, "trained_share": thin / sum(each.size for each in after.values()),
            "base_unchanged": all((before[name] == after[name]).all() for name in kept)}  # fmt: skip
