"""Labelled images: their pixels in memory, or streamed from their files."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from vinnas_tf.data.picture import digest, inside
from vinnas_tf.data.streamed import Streamed

_SAMPLE = 200
_BLOCK = 2**27  # Bytes of streamed pixels that are looked at together.


@dataclass(frozen=True, init=False)
class ImageSet:
    """Labelled images, in memory or streamed.

    Attributes:
        frames: uint8 [n, h + 2 rows, w + 2 columns, c], c being 1 (grey) or 3 (RGB): each image with its margin.
        margin: the rows and columns on each side of an image, which random crops alone see.
        labels: int32 [n], indices into the data set's class names.
        names: [n] what each image is called; draws depend on it. Without names, images are called by their number.
        digests: uint64 [n], `picture.digest` of each as it was read, before resizing; else that of the image.
    """

    frames: np.ndarray | Streamed
    labels: np.ndarray
    names: np.ndarray
    digests: np.ndarray
    margin: tuple[int, int]

    def __init__(
        self,
        frames: np.ndarray | Streamed,
        labels: np.ndarray,
        names: np.ndarray | None = None,
        digests: np.ndarray | None = None,
        margin: tuple[int, int] = (0, 0),
    ) -> None:
        if names is None:
            names = np.arange(len(labels)).astype(str)
        if digests is None:
            assert isinstance(frames, np.ndarray)  # Streamed pictures have been decoded once.
            digests = np.array([digest(image) for image in inside(frames, margin)], np.uint64)
        values = {"frames": frames, "labels": labels, "names": names, "digests": digests, "margin": margin}
        for name, value in values.items():
            object.__setattr__(self, name, value)  # The class is frozen.

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[h, w, c] of an image."""
        (rows, columns), (height, width, channels) = self.margin, self.frames.shape[1:]
        return height - 2 * rows, width - 2 * columns, channels

    @property
    def images(self) -> np.ndarray:
        """All images, uint8 [n, h, w, c]; those that are streamed are read into memory."""
        every = self.frames[np.arange(len(self))] if isinstance(self.frames, Streamed) else self.frames
        return inside(every, self.margin)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """The pixels of the images at `indices`, [m] in any order: uint8 [m, h, w, c]."""
        return inside(self.frames[indices], self.margin)

    def blocks(self) -> Iterator[np.ndarray]:
        """All images in their order, uint8 [m, h, w, c]: those in memory at once, those that are streamed in blocks."""
        if not isinstance(self.frames, Streamed):
            yield self.images
            return
        size = max(1, _BLOCK // math.prod(self.frames.shape[1:]))
        for start in range(0, len(self), size):
            yield self.read(np.arange(start, min(start + size, len(self))))

    def take(self, indices: np.ndarray) -> "ImageSet":
        """The images at `indices`."""
        frames = self.frames.take(indices) if isinstance(self.frames, Streamed) else self.frames[indices]
        return ImageSet(frames, self.labels[indices], self.names[indices], self.digests[indices], self.margin)

    def sample(self) -> np.ndarray:
        """At most 200 of the images, uint8 [n, h, w, c], the same ones each time: an export reads ranges from them."""
        chosen = np.random.default_rng(0).choice(len(self), min(_SAMPLE, len(self)), replace=False)
        return self.read(chosen)

    def without(self, others: "ImageSet") -> "ImageSet":
        """The images whose pictures are not among `others`."""
        return self.take(np.flatnonzero(~np.isin(self.digests, others.digests)))


def in_order(images: ImageSet) -> ImageSet:
    """The images by digest, class and name: an order that no file's place has a part in, and that mixes classes.

    What is drawn, batched and averaged later depends on this order, so it depends on the images alone.
    """
    return images.take(np.lexsort((images.names, images.labels, images.digests)))


def fingerprint(sets: Iterable[ImageSet]) -> str:
    """SHA-256 of the shape, pixels and labels of sets of images, one after another.

    In the place of the pixels of streamed images stand the digests of their pictures, and how these are prepared.
    """
    content = hashlib.sha256()
    for images in sets:
        content.update(repr(images.frames.shape).encode())
        if isinstance(images.frames, Streamed):
            content.update(repr(images.frames.preparation).encode())
            content.update(np.ascontiguousarray(images.digests).data)
        else:
            content.update(np.ascontiguousarray(images.frames).data)
        content.update(np.ascontiguousarray(images.labels).data)
    return content.hexdigest()
