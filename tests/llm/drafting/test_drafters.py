"""Drafters: one answer with and without what they remember, trees within their budget, files that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, ModelError
from shoal.llm.drafting import FAMILY, ROOT, Ask, Budget, Drafter, Tree
from shoal.llm.drafting.drafters.ngram import Ngram
from shoal.train.language import Decoder
from shoal.train.language.forward import Forward

SHAPE = Decoder(width=16, layers=2, heads=2, hidden=24, context=32, vocabulary=11)
SIZES = {
    "width": 16,
    "layers": 2,
    "heads": 2,
    "hidden": 24,
    "context": 32,
    "vocabulary": 11,
    "epsilon": 1e-5,
    "theta": 1e4,
}
FUSIONS: dict[str, dict[str, tuple[int, ...]]] = {
    "gate": {"feature.weight": (16, 16), "token.weight": (16, 16), "gate.weight": (16, 32)},
    "linear": {"fuse.weight": (16, 32)},
}


def weights(extra: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    source = np.random.default_rng(0)
    shapes = SHAPE.shapes() | extra
    return {name: source.standard_normal(size).astype(np.float32) / 3 for name, size in shapes.items()}


def written(folder: Path, extra: dict[str, tuple[int, ...]]) -> str:
    np.savez(folder / "net.npz", **weights(extra), **{name: np.array(each) for name, each in SIZES.items()})
    return f"file={folder / 'net.npz'}"


@pytest.fixture(params=["ngram", "random", "small", "gate", "linear"])
def drafter(request: pytest.FixtureRequest, tmp_path: Path) -> Drafter:
    kind = request.param
    options = {"ngram": "ngram", "random": "random:vocabulary=11", "small": f"small:{written(tmp_path, {})}"}
    if kind in FUSIONS:
        options[kind] = f"fused:{written(tmp_path, FUSIONS[kind] | {'head.weight': (11, 16)})}"
    made: Drafter = catalog.make(FAMILY, options[kind])
    return made


def ask(drafter: Drafter, tokens: list[int], features: int, budget: Budget, temperature: float = 0.0) -> Ask:
    rows = np.random.default_rng(1).standard_normal((32, drafter.width)).astype(np.float16)
    begin = features - len(tokens) if features >= len(tokens) else 0
    return Ask(np.array(tokens, np.int32), rows[begin:features] if drafter.width else rows[:0], budget, temperature)


TEXT = [1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("budget", [Budget.chain(1), Budget.chain(5), Budget(3, 3, 7), Budget(4, 2, 64)])
def test_trees_are_whole_and_within_their_budget(drafter: Drafter, budget: Budget, temperature: float) -> None:
    tree = drafter.begin(3).propose(ask(drafter, TEXT, len(TEXT) - 1, budget, temperature))
    assert len(tree)
    tree.check(11, budget.tokens)
    assert tree.depths.max() <= budget.depth
    assert max(map(len, tree.children.values())) <= budget.top_k
    assert tree.q is None or temperature


@pytest.mark.parametrize("drafter", ["ngram", "small", "gate", "linear"], indirect=True)
def test_what_is_remembered_changes_nothing(drafter: Drafter) -> None:
    budget = Budget(4, 3, 9)
    whole = drafter.begin(0).propose(ask(drafter, TEXT, 10, budget))
    session = drafter.begin(0)
    session.propose(ask(drafter, TEXT[:6], 5, Budget(3, 2, 6)))
    session.propose(ask(drafter, TEXT[6:7], 6, budget))
    pieces = session.propose(ask(drafter, TEXT[7:], 10, budget))
    np.testing.assert_array_equal(pieces.tokens, whole.tokens)
    np.testing.assert_array_equal(pieces.parents, whole.parents)


def test_a_small_model_foresees_what_its_decoder_does(tmp_path: Path) -> None:
    drafter: Drafter = catalog.make(FAMILY, f"small:{written(tmp_path, {})}")
    run, text = Forward(SHAPE, weights({})), list(TEXT)
    chain = drafter.begin(0).propose(ask(drafter, text, 0, Budget.chain(6)))
    for token in chain.tokens.tolist():
        assert int(run(np.array([text]))[0, -1].argmax()) == token
        text.append(token)


def test_a_branch_of_a_tree_sees_its_own_way_alone(tmp_path: Path) -> None:
    drafter: Drafter = catalog.make(FAMILY, f"small:{written(tmp_path, {})}")
    tree = drafter.begin(0).propose(ask(drafter, TEXT, 0, Budget(3, 3, 30)))
    run = Forward(SHAPE, weights({}))
    for parent, children in tree.children.items():
        way = [] if parent == ROOT else tree.tokens[tree.seen[parent]].tolist()
        best = np.argsort(-run(np.array([TEXT + way]))[0, -1])[:3]
        assert {int(tree.tokens[child]) for child in children} <= set(best.tolist())


def test_prompt_lookup_gives_what_followed_newest_first() -> None:
    assert propose(Ngram(), TEXT, Budget.chain(3)).tokens.tolist() == [5, 1, 2]
    tree = propose(Ngram(), TEXT, Budget(2, 2, 4))
    assert (tree.tokens.tolist(), tree.parents.tolist()) == ([5, 1, 4, 1], [ROOT, 0, ROOT, 2])
    assert propose(Ngram(), TEXT, Budget(2, 2, 3)).tokens.tolist() == [5, 1, 4]
    assert len(propose(Ngram(shortest=4), TEXT, Budget())) == 0


def propose(drafter: Drafter, text: list[int], budget: Budget) -> Tree:
    return drafter.begin(0).propose(ask(drafter, text, 0, budget))


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        catalog.make(FAMILY, f"small:file={tmp_path / 'missing'}").begin(0)
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(InputError, match="cannot read"):
        catalog.make(FAMILY, f"small:file={tmp_path / 'text'}").begin(0)
    np.savez(tmp_path / "other.npz", x=np.zeros(1))
    with pytest.raises(ModelError, match="not a drafter's file"):
        catalog.make(FAMILY, f"small:file={tmp_path / 'other.npz'}").begin(0)
    with pytest.raises(ModelError, match="not the file of such a drafter"):
        catalog.make(FAMILY, f"fused:{written(tmp_path, {})}").begin(0)
    np.savez(tmp_path / "short.npz", **{name: np.array(each) for name, each in SIZES.items()})
    with pytest.raises(ModelError, match="missing or of another shape"):
        catalog.make(FAMILY, f"small:file={tmp_path / 'short.npz'}").begin(0)
