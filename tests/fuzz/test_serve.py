"""Bodies of requests to a service, read without the service: JSON, binary tensors, arrays, photos, forms."""

from __future__ import annotations

import io
import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shoal.live import Signature, TensorForm
from shoal.serve.bodies import deadline_of, first_file
from shoal.serve.images import Pixels, photos_of, pixels_of
from shoal.serve.npy import read_npy, read_npz, write_npy, write_npz
from shoal.serve.protocol import Asked, example, read_request, write_response
from tests.fuzz.mutations import damaged, fuzzed, mutated_json, survives
from tests.fuzz.test_inputs import LIES
from tests.fuzz.test_words import words

ONE = Signature({"x": TensorForm("float32", (1, 3, 4, 4))}, {"y": TensorForm("float32", (1, 4))})
OPEN = Signature(
    {"x": TensorForm("int64", (1, 8), (1,)), "m": TensorForm("bool", (2,))}, {"y": TensorForm("int8", (2,))}
)
X = np.ones((1, 3, 4, 4), np.float32)
OUTPUTS = {"y": np.zeros((1, 4), np.float32)}
ARRAYS = (write_npy(X), write_npz({"x": X}), write_npz({"x": np.ones((1, 5), np.int64), "m": np.ones(2, bool)}))


def _fits(asked: dict[str, np.ndarray] | None, signature: Signature) -> None:
    for name, array in (asked or {}).items():
        form = signature.inputs[name]
        assert str(array.dtype) == form.dtype
        assert all(size <= most for size, most in zip(array.shape, form.shape, strict=True))


@given(st.sampled_from(ARRAYS).flatmap(damaged) | st.sampled_from(LIES))
@fuzzed(250)
def test_an_array_is_refused_in_words_or_fits(data: bytes) -> None:
    for signature in (ONE, OPEN):
        _fits(survives(lambda signature=signature: read_npz(data, signature)), signature)  # type: ignore[misc]
        _fits(survives(lambda signature=signature: read_npy(data, signature)), signature)  # type: ignore[misc]


BINARY = {
    "inputs": [{"name": "x", "shape": [1, 3, 4, 4], "datatype": "FP32", "parameters": {"binary_data_size": 192}}],
    "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    "parameters": {"binary_data_output": True},
    "id": "1",
}


@given(st.data(), st.sampled_from((ONE, OPEN)), st.booleans())
@fuzzed(250)
def test_a_request_is_refused_in_words_or_fits(data: st.DataObject, signature: Signature, binary: bool) -> None:
    head = data.draw(mutated_json(BINARY if binary else {**example(signature), "parameters": {}}))
    body, length = (
        head + (X.tobytes() if binary else b""),
        data.draw(st.sampled_from((str(len(head)), "0", "-1", "9", "²", None))),
    )
    asked: Asked | None = survives(lambda: read_request(body, length if binary else None, signature))
    if asked is not None:
        _fits(dict(asked.inputs), signature)
        if signature is ONE:
            survives(lambda: write_response("small", asked, OUTPUTS))


def _photo(kind: str) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(file, kind)
    return file.getvalue()


PHOTOS = (_photo("JPEG"), _photo("PNG"))
FORMS = [
    b'--b\r\nContent-Disposition: form-data; filename="a"\r\n\r\n' + each + b"\r\n--b--\r\n" for each in PHOTOS
]


@given(st.sampled_from((*PHOTOS, *FORMS)).flatmap(damaged), st.booleans())
@fuzzed(200)
def test_a_photo_is_refused_in_words_or_an_input(data: bytes, form: bool) -> None:
    photos = photos_of(ONE, Pixels(), ())
    assert photos is not None
    content = survives(lambda: first_file(data, "multipart/form-data; boundary=b")) if form else data
    if content is not None:
        array = survives(lambda: photos.array(content))
        assert array is None or array.shape == (1, 3, 4, 4)


@given(words(), words())
@fuzzed(200)
def test_headers_and_options_are_refused_in_words_or_read(one: str, other: str) -> None:
    one, other = (
        each.encode(errors="replace").decode("latin1") for each in (one, other)
    )  # as servers hand them on
    survives(lambda: deadline_of(one, other, None))
    survives(lambda: pixels_of(one))
    survives(lambda: first_file(other.encode(errors="replace"), f"multipart/form-data; boundary={one}"))
    survives(lambda: read_request(json.dumps(example(ONE)).encode(), one, ONE))
