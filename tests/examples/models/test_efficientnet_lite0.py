"""EfficientNet-Lite0 on real photos, by plain onnxruntime."""

import numpy as np
import pytest

from examples.models import efficientnet_lite0
from shoal.errors import ModelError

Image = pytest.importorskip("PIL.Image")


def test_preprocessing_keeps_the_middle_and_scales_it() -> None:
    pixels = np.zeros((256, 512, 3), np.uint8)
    pixels[:, 128:384] = (255, 127, 0)  # the middle square, which holds the crop
    ready = efficientnet_lite0.preprocess(Image.fromarray(pixels))
    assert ready.shape == (1, 3, 224, 224)
    assert ready.dtype == np.float32
    np.testing.assert_array_equal(ready[0, :, 100, 100], [1.0, 0.0, -127 / 128])
    assert np.ptp(ready, axis=(2, 3)).max() == 0


def test_best_gives_probabilities_in_order() -> None:
    first, second = efficientnet_lite0.best(np.log(np.array([[0.2, 0.5, 0.3]])), 2)
    assert first == (1, pytest.approx(0.5))
    assert second == (2, pytest.approx(0.3))


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelError, match=r"_conv_stem\.weight") as caught:
        efficientnet_lite0.graph({"_conv_stem.weight": np.zeros((64, 3, 7, 7), np.float32)})
    assert "(64, 3, 7, 7)" in str(caught.value)


@pytest.mark.slow
def test_photos_are_named_right() -> None:
    import onnxruntime

    from examples.models.photos import photos

    session = onnxruntime.InferenceSession(efficientnet_lite0.model())
    names = efficientnet_lite0.class_names()
    assert len(names) == 1000
    assert (names[967], names[985]) == ("espresso", "daisy")
    named = {}
    for photo in photos():
        image = efficientnet_lite0.preprocess(Image.open(photo.path))
        (index, chance), *_ = efficientnet_lite0.best(session.run(None, {"image": image})[0])
        assert index in photo.accepted, f"{photo.name} was named {names[index]}"
        named[photo.name] = round(chance, 2)
    # what PyTorch gives with the same weights and preprocessing
    assert named == {
        "coffee": 0.95,
        "chelsea": 0.39,
        "camera": 0.94,
        "motorcycle": 0.53,
        "china": 0.36,
        "flower": 0.33,
    }
