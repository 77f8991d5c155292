"""Reading real and rendered text by plain onnxruntime."""

import numpy as np
import pytest

from examples.models import ocr
from examples.models.photos import page

Image = pytest.importorskip("PIL.Image")
ImageDraw = pytest.importorskip("PIL.ImageDraw")
ImageFont = pytest.importorskip("PIL.ImageFont")
pytestmark = pytest.mark.slow  # downloads 27 MB and 14 MB the first time

LINES = ["One network, many small machines", "Plan, run and simulate it", "at 1234.56 items per second"]


@pytest.fixture(scope="module")
def run() -> ocr.Run:
    """Each network undivided."""
    return ocr.onnxruntime_run()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """Three lines of rendered text, the last one beside the second."""
    image = Image.new("RGB", (1000, 300), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=36)
    for line, place in zip(LINES, [(20, 20), (20, 200), (520, 200)], strict=True):
        draw.text(place, line, fill="black", font=font)
    return image


def test_rendered_text_is_read_in_order(run: ocr.Run, picture: Image.Image) -> None:
    assert ocr.read(picture, run) == LINES


def test_upside_down_text_is_turned(run: ocr.Run, picture: Image.Image) -> None:
    assert sorted(ocr.read(picture.rotate(180), run)) == sorted(LINES)


def test_a_photographed_page_is_read(run: ocr.Run) -> None:
    texts = ocr.read(Image.open(page()), run)
    assert texts[:3] == [
        "Region-based segmentation",
        "Let us first determine markers of the coins and the",
        "background. These markers are pixels that we can label",
    ]


def test_an_empty_picture_holds_no_text(run: ocr.Run) -> None:
    assert ocr.read(Image.new("RGB", (50, 900)), run) == []


def test_the_networks_get_exactly_their_shapes(run: ocr.Run, picture: Image.Image) -> None:
    """A fleet is planned for fixed shapes."""
    asked = set()

    def noted(name: str, array: np.ndarray) -> np.ndarray:
        asked.add((name, array.shape, str(array.dtype)))
        return run(name, array)

    ocr.read(picture, noted)
    assert asked == {(name, shape, "float32") for name, shape in ocr.SHAPES.items()}
