"""Photos: the same numbers as by hand, classes by name, and nothing but photos."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
from PIL import Image

from examples.models import efficientnet_lite0
from shoal import serve
from shoal.errors import InputError
from shoal.live import Signature, TensorForm
from shoal.serve.faults import Malformed, TooLarge
from shoal.serve.images import Photos, photos_of
from tests.serve.conftest import listening
from tests.serve.scripted import Scripted, sums

SCALED = serve.pixels_of("mean=127,std=128,crop=0.875")


def photo(width: int = 300, height: int = 200, mode: str = "RGB", kind: str = "PNG", **options: object) -> bytes:
    source = np.random.default_rng(0)
    depth = {"RGB": (3,), "L": (), "RGBA": (4,)}[mode]
    file = io.BytesIO()
    pixels = source.integers(0, 256, (height, width, *depth), np.uint8)
    Image.fromarray(pixels, mode).save(file, kind, **options)
    return file.getvalue()


def photos(*shape: int, dtype: str = "float32", pixels: serve.Pixels = SCALED) -> Photos:
    return Photos("image", TensorForm(dtype, shape), pixels)


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (224, 224), (1000, 333), (257, 255)])
def test_a_photo_becomes_what_the_example_makes_of_it(size: tuple[int, int]) -> None:
    data = photo(*size)
    with Image.open(io.BytesIO(data)) as image:
        wanted = efficientnet_lite0.preprocess(image)
    np.testing.assert_allclose(photos(1, 3, 224, 224).array(data), wanted, atol=1e-6)


def test_channels_last_grey_bytes_and_other_proportions() -> None:
    data = photo(64, 32)
    first, last = photos(1, 3, 16, 32).array(data), photos(1, 16, 32, 3).array(data)
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), last)
    grey = photos(1, 1, 16, 32, dtype="uint8", pixels=serve.Pixels()).array(data)
    assert (grey.shape, grey.dtype) == ((1, 1, 16, 32), np.uint8)
    assert photos(1, 3, 8, 8).array(photo(3, 200)).shape == (1, 3, 8, 8)


def test_each_channel_has_its_own_mean() -> None:
    own = photos(1, 3, 8, 8, pixels=serve.pixels_of("mean=100/110/120,std=1/2/4")).array(photo(8, 8))
    plain = photos(1, 3, 8, 8, pixels=serve.pixels_of("std=1")).array(photo(8, 8))
    for channel, (mean, std) in enumerate([(100, 1), (110, 2), (120, 4)]):
        np.testing.assert_allclose(own[0, channel], (plain[0, channel] - mean) / std)


def test_a_photo_is_turned_upright() -> None:
    with Image.open(io.BytesIO(photo(40, 20))) as image:
        exif = image.getexif()
        exif[0x0112] = 6  # the camera was turned to the right
        turned, upright = io.BytesIO(), io.BytesIO()
        image.save(turned, "PNG", exif=exif)
        image.transpose(Image.Transpose.ROTATE_270).save(upright, "PNG")
    np.testing.assert_array_equal(
        photos(1, 3, 8, 8).array(turned.getvalue()), photos(1, 3, 8, 8).array(upright.getvalue())
    )


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_other_photos_are_made_red_green_blue(mode: str) -> None:
    assert photos(1, 3, 8, 8).array(photo(20, 20, mode)).shape == (1, 3, 8, 8)


def test_what_is_no_photo() -> None:
    with pytest.raises(Malformed, match="not a JPEG or PNG"):
        photos(1, 3, 8, 8).array(b"GIF89a")
    with pytest.raises(Malformed, match="damaged"):
        photos(1, 3, 8, 8).array(photo(300, 300)[:2000])


def test_too_many_pixels_are_not_unpacked() -> None:
    file = io.BytesIO()
    Image.new("1", (30000, 30000)).save(file, "PNG")
    assert len(file.getvalue()) < 1 << 20
    with pytest.raises(TooLarge, match="too many pixels"):
        photos(1, 3, 8, 8).array(file.getvalue())


def test_scores_become_probabilities_unless_they_are_some() -> None:
    found = Photos("image", TensorForm("float32", (1, 3, 8, 8)), SCALED, ("a", "b", "c"))
    index, label, sure = found.best(np.array([[1.0, 3.0, 2.0]], np.float32), 1)[0]
    assert (index, label) == (1, "b")
    assert sure == pytest.approx(np.exp(3) / np.exp([1, 2, 3]).sum())
    assert found.best(np.array([[0.2, 0.7, 0.1]]), 2) == [(1, "b", 0.7), (0, "a", 0.2)]


def forms(*shape: int, dtype: str = "float32", classes: int = 3) -> Signature:
    return Signature({"image": TensorForm(dtype, shape)}, {"scores": TensorForm("float32", (1, classes))})


def test_which_models_take_photos() -> None:
    assert photos_of(forms(1, 3, 8, 8), None, ()) is not None
    assert photos_of(forms(1, 8, 8, 1), None, ()) is not None
    for shape in ((1, 64), (2, 3, 8, 8), (1, 5, 8, 8)):
        assert photos_of(forms(*shape), None, ()) is None
    assert photos_of(forms(1, 3, 8, 8, dtype="int64"), None, ()) is None


@pytest.mark.parametrize(
    ("signature", "pixels", "labels", "message"),
    [
        (forms(1, 64), SCALED, (), "takes no photos"),
        (forms(1, 3, 8, 8), None, ("a", "b"), "as many labels"),
        (forms(1, 3, 8, 8, dtype="uint8"), SCALED, (), "as they are"),
        (forms(1, 3, 8, 8), serve.Pixels(mean=(1.0, 2.0)), (), "one for each channel"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_start(
    signature: Signature, pixels: serve.Pixels | None, labels: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        photos_of(signature, pixels, labels)


@pytest.mark.parametrize("text", ["mean", "mean=x", "std=0", "crop=2", "crop=0.5/0.5", "size=3", "mean=nan"])
def test_pixels_that_are_none(text: str) -> None:
    with pytest.raises(InputError):
        serve.pixels_of(text)


def test_over_http() -> None:
    said = serve.Classifier(SCALED, ("sum", "largest", "smallest", "nought"))
    with listening(Scripted(sums), classifier=said) as url, httpx.Client(base_url=f"{url}/v1/") as client:
        jpeg = photo(kind="JPEG")
        answer = client.post("images", content=jpeg, headers={"Content-Type": "image/jpeg"}, params={"top": 2})
        assert answer.status_code == 200, answer.text
        assert [each["label"] for each in answer.json()["classes"]] == ["largest", "nought"]
        assert answer.json()["pixels"] == "mean=127,std=128,crop=0.875"
        form = client.post(
            "images", files={"note": (None, "x"), "file": ("a.jpg", jpeg, "image/jpeg")}, params={"top": 2}
        )
        assert form.json() == answer.json()
        for content, kind, status in (
            (b"GIF89a", "image/gif", 415),
            (b"GIF89a", "image/png", 400),
            (b"x", "multipart/form-data", 400),
            (b"x", "multipart/form-data; boundary=y", 400),
            (bytes((20 << 20) + 1), "image/png", 413),
        ):
            assert client.post("images", content=content, headers={"Content-Type": kind}).status_code == status
        assert client.post("images", content=jpeg, params={"top": 0}).status_code == 422


def test_without_labels_the_answer_is_tensors() -> None:
    with listening(Scripted(sums)) as url:
        answer = httpx.post(f"{url}/v1/images", content=photo(), headers={"Content-Type": "image/png"})
    assert answer.json()["outputs"][0]["name"] == "scores"
    assert answer.json()["outputs"][0]["shape"] == [1, 4]
