"""Real photos from the wheels of scikit-image and scikit-learn, read without installing either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from examples.models.packages import Member, fetch, fetch_all

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Photo:
    """A photo and the ImageNet classes a person would accept for it."""

    name: str
    path: Path
    accepted: tuple[int, ...]  # class indices, 0 to 999


# name, file in the wheel, its sha256, accepted classes
_SKIMAGE = (
    (
        "coffee",
        "skimage/data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        (967,),  # espresso
    ),
    (
        "chelsea",
        "skimage/data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        (281, 282, 285),  # tabby, tiger cat, Egyptian cat
    ),
    (
        "camera",
        "skimage/data/camera.png",
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
        (872,),  # tripod
    ),
    (
        "motorcycle",
        "skimage/data/motorcycle_left.png",
        "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
        (665, 670),  # moped, motor scooter
    ),
)
_SKLEARN = (
    (
        "china",
        "sklearn/datasets/images/china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        (698,),  # palace
    ),
    (
        "flower",
        "sklearn/datasets/images/flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
        (985,),  # daisy
    ),
)
_Source = tuple[str, str, str, tuple[int, ...]]


def photos() -> tuple[Photo, ...]:
    """Six photos whose subjects are ImageNet classes; downloads 14 MB and 9 MB the first time."""
    return (*_of("scikit-image", "0.26.0", _SKIMAGE), *_of("scikit-learn", "1.9.1", _SKLEARN))


def page() -> Path:
    """A photographed page of printed text, grey, 384 x 191 pixels."""
    digest = "341a6f0a61557662b02734a9b6e56ec33a915b2c41886b97509dedf2a43b47a3"
    return fetch("scikit-image", "0.26.0", "skimage/data/page.png", digest)


def _of(package: str, version: str, sources: tuple[_Source, ...]) -> list[Photo]:
    paths = fetch_all(package, version, [Member(member, sha256) for _, member, sha256, _ in sources])
    return [Photo(name, path, accepted) for (name, _, _, accepted), path in zip(sources, paths, strict=True)]
