"""A scene as a film: which frames, and how long each is shown."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image

from stn_cli.draw.scene import Scene

OPENING = 0.7  # seconds that the first frame stands
REST = 1.8  # seconds that the last frame stands before it begins again
TICK = 10  # milliseconds: GIF counts in hundredths of a second

Advance = Callable[[int, int], None]  # (frames done, frames in all)


@dataclass(frozen=True)
class Film:
    """`scene` from beginning to end.

    `seconds` is the length of the whole film with its pauses (default: the scene's own pace); `loop` whether it begins again.
    """

    scene: Scene
    fps: float
    seconds: float | None = None
    loop: bool = True

    @property
    def length(self) -> float:
        """Seconds, pauses included."""
        return self.seconds or self.scene.seconds + OPENING + REST

    @property
    def pauses(self) -> tuple[float, float]:
        """Seconds that the first and the last frame stand: of a short film at most a third together."""
        squeeze = min(1.0, self.length / 3 / (OPENING + REST))
        return OPENING * squeeze, REST * squeeze

    @property
    def count(self) -> int:
        """Different frames."""
        return max(2, round((self.length - sum(self.pauses)) * self.fps) + 1)

    @property
    def times(self) -> list[float]:
        """When in the scene each frame is taken, in [0, 1]."""
        return [k / (self.count - 1) for k in range(self.count)]

    @property
    def durations(self) -> list[int]:
        """Milliseconds of each frame, in hundredths of a second as GIF has them, with no drift against the clock."""
        opening, rest = self.pauses
        moving = self.length - opening - rest
        ends = [opening + moving * k / (self.count - 1) for k in range(self.count - 1)]
        ticks = [0, *(round(end * 1000 / TICK) for end in ends), round(self.length * 1000 / TICK)]
        # Viewers slow down frames of less than two hundredths.
        return [max(2, b - a) * TICK for a, b in pairwise(ticks)]

    def frame(self, t: float) -> Image.Image:
        return self.scene.frame(t).render()

    def frames(self, advance: Advance = lambda done, total: None) -> Iterator[Image.Image]:
        for done, t in enumerate(self.times):
            yield self.frame(t)
            advance(done + 1, self.count)
