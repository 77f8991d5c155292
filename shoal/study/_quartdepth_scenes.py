"""Rooms with boxes and balls, papered with photos, seen by a camera: grey pictures and their exact depths.

A ray of each pixel is cut with every surface. Rays have the length 1 along the optical axis, so that the way to a surface
in rays is its depth in metres, as a depth camera has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.train.tasks._files import grey, of_scikit_learn
from shoal.train.tasks.patches import PHOTOS

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
SIDE = 64  # pixels of a picture
COARSE = 2  # pixels of a picture, each way, in one of its depths
TANGENT = 0.7  # of half the field of view
PER_METRE = 60  # pixels of a photo
HEIGHT_M, TILT = (
    1.5,
    0.1,
)  # of the camera over the floor, and down, radians, as on a robot: where things stand tells how far
LIGHT = np.array([0.4, 0.8, -0.45])  # where it comes from; y is up, z is ahead


@dataclass(frozen=True, eq=False)
class Scenes:
    """So many of them."""

    pictures: F32  # (n, 1, SIDE, SIDE), about −1 to 1
    depths: F32  # (n, 1, SIDE // COARSE, SIDE // COARSE), metres

    def samples(self, count: int = 0) -> list[dict[str, F32]]:
        """The first so many as inputs, each (1, 1, SIDE, SIDE); 0: all."""
        return [{"x": picture[None]} for picture in self.pictures[: count or None]]

    def __getitem__(self, part: slice | NDArray[np.intp]) -> Scenes:
        return Scenes(self.pictures[part], self.depths[part])


def scenes(count: int, seed: int) -> Scenes:
    """So many, always the same of a seed; others of any other.

    Raises:
        MissingExtra: scikit-learn, whose photos these are, or Pillow is not installed.
    """
    photos = [grey(of_scikit_learn(member)) for member in PHOTOS]
    found = [_rendered(np.random.default_rng([seed, number]), photos) for number in range(count)]
    return Scenes(
        np.stack([picture for picture, _ in found])[:, None], np.stack([depth for _, depth in found])[:, None]
    )


@dataclass(frozen=True, eq=False)
class Hit:
    """Where rays meet one surface."""

    depth: F64  # (rays,), infinite where it is missed
    paper: F64  # (rays, 2): metres along it
    facing: F64  # (rays, 3): its normal, of length 1


def box_hit(origin: F64, rays: F64, half: F64, inside: bool = False) -> Hit:
    """A box around the middle of its own axes, seen from the outside; or the room within one.

    Args:
        origin: (3,), of the rays.
        rays: (rays, 3).
        half: (3,), of its sides.
        inside: whether the camera is in it.
    """
    rays = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    ends = np.sign(rays) * half
    near, far = (-ends - origin) / rays, (ends - origin) / rays
    depth, axis = (far.min(axis=1), far.argmin(axis=1)) if inside else (near.max(axis=1), near.argmax(axis=1))
    missed = (near.max(axis=1) > far.min(axis=1)) | (depth <= 0)
    points = origin + rays * depth[:, None]
    others = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    facing = np.zeros_like(rays)
    facing[np.arange(len(rays)), axis] = -np.sign(rays[np.arange(len(rays)), axis])
    return Hit(np.where(missed, np.inf, depth), np.take_along_axis(points, others, axis=1), facing)


def ball_hit(origin: F64, rays: F64, radius: float) -> Hit:
    """A ball around 0."""
    square, half = (rays**2).sum(axis=1), rays @ origin
    inside = half**2 - square * (origin @ origin - radius**2)
    depth = (-half - np.sqrt(np.maximum(inside, 0))) / square
    facing = (origin + rays * depth[:, None]) / radius
    paper = radius * np.stack([np.arctan2(facing[:, 0], facing[:, 2]), facing[:, 1]], axis=1)
    return Hit(np.where((inside <= 0) | (depth <= 0), np.inf, depth), paper, facing)


def _rendered(source: np.random.Generator, photos: Sequence[F32]) -> tuple[F32, F32]:
    """A picture (SIDE, SIDE) and its depths, coarser."""
    room = source.uniform((2.5, 1.3, 3.0), (6.0, 1.8, 8.0))  # half of its sides
    origin = np.array(
        [source.uniform(-0.5, 0.5) * room[0], HEIGHT_M - room[1], -room[2] + source.uniform(0.3, 1.5)]
    )
    rays = _camera(source)
    hits = [box_hit(origin, rays, room, inside=True), *_things(source, origin, rays, room)]
    looks = [_papered(source, hit, photos) for hit in hits]
    depths = np.stack([hit.depth for hit in hits])
    first = depths.argmin(axis=0)
    bright = np.take_along_axis(np.stack(looks), first[None], axis=0)[0]
    picture = bright + 0.02 * source.standard_normal(bright.shape)
    exact = np.take_along_axis(depths, first[None], axis=0)[0].reshape(SIDE, SIDE)
    return (
        (2 * picture - 1).reshape(SIDE, SIDE).astype(np.float32),
        exact[COARSE // 2 :: COARSE, COARSE // 2 :: COARSE].astype(np.float32),
    )


def _camera(source: np.random.Generator) -> F64:
    """The rays of all pixels, (rays, 3), row by row from the top."""
    at = TANGENT * ((np.arange(SIDE) + 0.5) * 2 / SIDE - 1)
    x, y = np.meshgrid(at, -at)
    flat = np.stack([x.ravel(), y.ravel(), np.ones(SIDE * SIDE)], axis=1)
    tilt, yaw = TILT + source.uniform(-0.02, 0.02), source.uniform(-0.25, 0.25)
    found: F64 = flat @ _turn(0, tilt).T @ _turn(1, yaw).T
    return found


def _things(source: np.random.Generator, origin: F64, rays: F64, room: F64) -> Iterator[Hit]:
    """Boxes and balls on the floor."""
    for _ in range(source.integers(2, 6)):
        size = source.uniform(0.25, 0.9, 3)
        ahead = source.uniform(1.8, max(2.0, 2 * room[2] - 2.5))
        place = np.array([origin[0] + source.uniform(-0.6, 0.6) * ahead, 0.0, origin[2] + ahead])
        if source.random() < 0.6:
            turn = _turn(1, source.uniform(0, np.pi))
            place[1] = size[1] - room[1]
            hit = box_hit((origin - place) @ turn, rays @ turn, size)
            yield Hit(hit.depth, hit.paper, hit.facing @ turn.T)
        else:
            place[1] = size[0] - room[1]
            yield ball_hit(origin - place, rays, float(size[0]))


def _papered(source: np.random.Generator, hit: Hit, photos: Sequence[F32]) -> F64:
    """How bright each ray's point of the surface is, 0 to 1: a part of a photo in its own shade, lit from one side."""
    photo = photos[int(source.integers(len(photos)))]
    shade, contrast = source.uniform(0.25, 0.75), source.uniform(0.2, 0.8)
    shift = source.integers(0, 1000, 2)
    where = np.where(np.isfinite(hit.paper), hit.paper, 0)
    rows, columns = (
        np.abs((where[:, axis] * PER_METRE).astype(np.int64) + shift[axis]) % photo.shape[axis] for axis in (0, 1)
    )
    own = shade + contrast * (photo[rows, columns] - photo.mean())
    lit = 0.55 + 0.45 * np.clip(hit.facing @ (LIGHT / np.linalg.norm(LIGHT)), -1, 1)
    found: F64 = np.clip(own * lit * 1.3, 0, 1)
    return found


def _turn(axis: int, angle: float) -> F64:
    """Around x (0), which tilts, or y (1), which pans: (3, 3)."""
    one, other = ((1, 2), (2, 0))[axis]
    found = np.eye(3)
    found[[one, other], [one, other]] = np.cos(angle)
    found[one, other], found[other, one] = -np.sin(angle), np.sin(angle)
    return found
