"""The sentence encoder against BERT written again in numpy, and on sentences."""

import json
import math

import numpy as np
import pytest

from examples.models import minilm, safetensors_file
from shoal.errors import ModelError

pytestmark = pytest.mark.slow  # downloads 83 MB the first time

SENTENCES = [
    "A man is eating food.",
    "Someone is having a meal.",
    "The stock market fell sharply today.",
    "Shares dropped a lot this afternoon.",
    "Two small boards share the work of one large network.",
    "Dividing a neural net over several little computers.",
]


def run(inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    import onnxruntime

    hidden, sentences = onnxruntime.InferenceSession(minilm.model()).run(None, inputs)
    return hidden, sentences


def bert(inputs: dict[str, np.ndarray]) -> np.ndarray:
    """BERT in float64, from the paper and the published names, not from the graph: (batch, tokens, width)."""
    config_path, weights_path, _ = minilm.files()
    config = json.loads(config_path.read_text())
    weights = {name: array.astype(float) for name, array in safetensors_file.read(weights_path).items()}
    heads, error = config["num_attention_heads"], np.vectorize(math.erf)

    def dense(value: np.ndarray, name: str) -> np.ndarray:
        return np.einsum("bti,oi->bto", value, weights[f"{name}.weight"]) + weights[f"{name}.bias"]

    def norm(value: np.ndarray, name: str) -> np.ndarray:
        centred = value - value.mean(-1, keepdims=True)
        unit = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + config["layer_norm_eps"])
        return unit * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    table = "embeddings.{}_embeddings.weight"
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    value = weights[table.format("word")][ids] + weights[table.format("position")][: ids.shape[1]]
    value = norm(value + weights[table.format("token_type")][inputs["token_type_ids"]], "embeddings.LayerNorm")
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        parts = [dense(value, f"{layer}.attention.self.{part}") for part in ("query", "key", "value")]
        query, key, content = (part.reshape(*part.shape[:2], heads, -1) for part in parts)
        scores = np.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(query.shape[-1])
        scores = np.where(mask[:, None, None, :] == 1, scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        taken = np.einsum("bhqk,bkhd->bqhd", shares, content).reshape(value.shape)
        attended = dense(taken, f"{layer}.attention.output.dense") + value
        attended = norm(attended, f"{layer}.attention.output.LayerNorm")
        wide = dense(attended, f"{layer}.intermediate.dense")
        wide = wide * (1 + error(wide / math.sqrt(2))) / 2
        value = norm(dense(wide, f"{layer}.output.dense") + attended, f"{layer}.output.LayerNorm")
    return value


def test_like_bert_in_numpy() -> None:
    inputs = minilm.encode(SENTENCES[:3], tokens=16)
    inputs["token_type_ids"][:, 5:] = 1  # the segment table is used too
    hidden, sentences = run(inputs)
    reference = bert(inputs)
    np.testing.assert_allclose(hidden, reference, atol=2e-5)
    mask = inputs["attention_mask"][..., None]
    means = (reference * mask).sum(1) / mask.sum(1)
    np.testing.assert_allclose(sentences, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-5)


def test_each_sentence_is_nearest_to_its_paraphrase() -> None:
    _, sentences = run(minilm.encode(SENTENCES))
    likeness = sentences @ sentences.T - 2 * np.eye(len(SENTENCES))
    assert likeness.argmax(1).tolist() == [1, 0, 3, 2, 5, 4]
    assert likeness[0, 1] > 0.5
    assert likeness[0, 2] < 0.1


def test_padding_changes_nothing() -> None:
    _, short = run(minilm.encode(SENTENCES[:1]))
    _, padded = run(minilm.encode(SENTENCES[:1], tokens=64))
    np.testing.assert_allclose(short, padded, atol=1e-6)


def test_known_words_get_berts_ids() -> None:
    assert minilm.encode(["Hello, world! unaffable"])["input_ids"].tolist() == [
        [101, 7592, 1010, 2088, 999, 14477, 20961, 3468, 102]
    ]


def test_another_configuration_is_refused() -> None:
    with pytest.raises(ModelError, match="not a BERT encoder"):
        minilm.graph({"model_type": "gpt2"}, {})
