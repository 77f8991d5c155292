"""Text read by three networks, each divided over two processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples.models import ocr as networks
from shoal.errors import InputError
from shoal.run import Settings
from tests.run import plans

Image = pytest.importorskip("PIL.Image")
ImageDraw = pytest.importorskip("PIL.ImageDraw")
ImageFont = pytest.importorskip("PIL.ImageFont")
from examples import ocr  # noqa: E402  # needs Pillow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # downloads 27 MB the first time
LINES = ["One network, many small machines", "at 1234.56 items per second"]


@pytest.fixture
def picture() -> Image.Image:
    image = Image.new("RGB", (700, 200), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=36)
    for row, line in enumerate(LINES):
        draw.text((20, 20 + 100 * row), line, fill="black", font=font)
    return image


def test_rendered_text_comes_back_as_from_undivided_networks(picture: Image.Image) -> None:
    alone, asked = networks.onnxruntime_run(), []
    with ocr.divided(plans.fleet(2), Settings(over="shm")) as call:

        def both(name: str, array: np.ndarray) -> np.ndarray:
            asked.append(name)
            found = call(name, array)
            plans.assert_equal({name: found}, {name: alone(name, array)})
            return found

        assert len(plans.workers()) == 6
        assert networks.read(picture, both) == LINES
    assert set(asked) == {"det", "cls", "rec"}
    assert len(asked) > 5  # the same workers again and again
    assert plans.workers() == []


def test_every_network_is_on_both_devices() -> None:
    for plan in ocr.plans(plans.fleet(2)).values():
        assert plan.units == ("d0/cpu", "d1/cpu")


def test_the_script_reads_a_file(
    picture: Image.Image, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr.fleet, "load", lambda path: plans.fleet(2))  # without cores that may not be here
    picture.save(tmp_path / "picture.png")
    assert ocr.main([str(tmp_path / "picture.png")]) == 0
    assert capsys.readouterr().out.splitlines() == LINES


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_text("no picture")
    with pytest.raises(InputError, match=r"picture\.png: cannot read a picture"):
        ocr.main([str(tmp_path / "picture.png")])
