"""What the demo's people look like: drawn scenes, cheap enough to be drawn for every frame.

A scene is asked for its picture at a moment (UTC, seconds) and returns it as I420. Everything that
stands still is drawn once.
"""

import colorsys
import math
import time
from typing import Any, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from clients.python import pattern

FLASH_S = 0.1  # lit from every whole second of UTC on, while the beep sounds

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]  # blue, green, red

CHALK: Colour = (225, 235, 235)
_LINE = cv2.LINE_AA
_FONT: list[Any] = []  # made at the first use: loading it takes some milliseconds


class Scene(Protocol):
    width: int
    height: int

    def draw(self, utc_s: float, loudness: float) -> Image:
        """The picture at that moment, blue-green-red; `loudness` (0-1) moves the mouth."""


def text(image: Image, words: str, at: tuple[int, int], size: int, colour: Colour, weight: int = 400) -> None:
    """Chinese and Latin words; `at` is the left end of the baseline, `size` in pixels."""
    if not _FONT:
        _FONT.append(cv2.FontFace("uni"))
    cv2.putText(image, words, at, colour, _FONT[0], size, weight)


def flashing(utc_s: float) -> bool:
    return utc_s % 1 < FLASH_S - 1e-6


def plain_i420(image: Image) -> Image:
    """Rows of Y, then U, then V, as "yuv420p" wants them."""
    return cast(Image, cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420))


def i420(image: Image, sender: int, utc_s: float) -> Image:
    """The same with the marks that tests read: the strip (`pattern`), and the flash of every second."""
    flash(image, utc_s)
    planes = plain_i420(image)
    height, width = image.shape[:2]
    pattern.draw(planes[:height], sender, round(utc_s * 1000))
    # Black and white, not tinted by the picture that was there: readers may look at one colour only.
    strip = math.ceil(height * pattern.HEIGHT / 2)
    planes[height:].reshape(2, height // 2, width // 2)[:, -strip:] = 128
    return planes


class Lecturer:
    """A teacher before a blackboard, on which a curve is being drawn, and a clock."""

    def __init__(self, name: str, *, title: str = "双师课堂", width: int = 640, height: int = 360) -> None:
        self.width, self.height = width, height
        self._unit = height / 360
        self._still = self._draw_still(name, title)

    def _px(self, value: float) -> int:
        return round(value * self._unit)

    def _draw_still(self, name: str, title: str) -> Image:
        px = self._px
        image = np.empty((self.height, self.width, 3), np.uint8)
        image[:] = np.linspace((205, 214, 222), (168, 182, 196), self.height)[:, None, :]
        cv2.rectangle(image, (px(18), px(16)), (px(430), px(262)), (54, 92, 140), -1, _LINE)
        cv2.rectangle(image, (px(26), px(24)), (px(422), px(254)), (70, 88, 40), -1, _LINE)
        text(image, title, (px(42), px(60)), px(24), CHALK, 500)
        text(image, "y = sin x", (px(300), px(60)), px(20), (150, 225, 250))
        cv2.arrowedLine(image, (px(46), px(160)), (px(406), px(160)), CHALK, 1, _LINE, tipLength=0.03)
        cv2.arrowedLine(image, (px(56), px(244)), (px(56), px(78)), CHALK, 1, _LINE, tipLength=0.05)
        cv2.rectangle(image, (0, px(288)), (self.width, self.height), (92, 112, 136), -1)
        cv2.rectangle(image, (px(440), px(262)), (px(622), px(300)), (70, 96, 150), -1, _LINE)
        text(image, name, (px(452), px(289)), px(22), (255, 255, 255), 600)
        return image

    def draw(self, utc_s: float, loudness: float) -> Image:
        image = self._still.copy()
        ball = self._draw_curve(image, utc_s)
        self._draw_teacher(image, utc_s, loudness, ball)
        clock(image, utc_s, (self._px(24), self._px(318)), self._unit)
        return image

    def _draw_curve(self, image: Image, utc_s: float) -> tuple[int, int]:
        """Draws the curve as far as it has come, and returns where its end is."""
        done = (utc_s / 6) % 1
        x = np.linspace(0, max(done, 0.01), 2 + int(90 * done))
        y = 160 - 62 * np.sin(x * 4 * np.pi)
        points = np.stack([(60 + x * 330), y], axis=1) * self._unit
        cv2.polylines(image, [points.astype(np.int32)], False, (120, 215, 255), self._px(3), _LINE)
        end = (int(points[-1, 0]), int(points[-1, 1]))
        cv2.circle(image, end, self._px(9), (90, 120, 250), -1, _LINE)
        return end

    def _draw_teacher(self, image: Image, utc_s: float, loudness: float, hand: tuple[int, int]) -> None:
        px = self._px
        sway = 4 * math.sin(utc_s * 1.3)
        head = (px(530 + sway), px(120))
        cv2.ellipse(image, (px(530), px(262)), (px(62), px(92)), 0, 180, 360, (128, 74, 46), -1, _LINE)
        shoulder = (px(494 + sway / 2), px(192))
        across, down = hand[0] - shoulder[0], hand[1] - shoulder[1]
        reach = (shoulder[0] + int(across * 0.55), shoulder[1] + int(down * 0.55))
        cv2.line(image, shoulder, reach, (128, 74, 46), px(18), _LINE)
        cv2.line(image, reach, hand, (60, 60, 60), px(3), _LINE)
        cv2.circle(image, reach, px(9), (170, 200, 238), -1, _LINE)
        face(image, head, px(38), utc_s, loudness)


class Student:
    """A child at home, in a colour of its own, with a ball that bounces and the name below."""

    def __init__(self, name: str, sender: int, *, width: int = 320, height: int = 180) -> None:
        self.width, self.height = width, height
        self._sender = sender
        self._unit = height / 180
        self._still = self._draw_still(name)

    def _draw_still(self, name: str) -> Image:
        image = np.empty((self.height, self.width, 3), np.uint8)
        image[:] = _colour(self._sender, 0.25, 0.86)
        unit = self._unit
        shirt = _colour(self._sender + 96, 0.55, 0.7)
        centre = (self.width // 2, round(172 * unit))
        cv2.ellipse(image, centre, (round(52 * unit), round(56 * unit)), 0, 180, 360, shirt, -1, _LINE)
        text(image, name, (round(10 * unit), round(26 * unit)), round(18 * unit), (50, 40, 40), 600)
        return image

    def draw(self, utc_s: float, loudness: float) -> Image:
        image = self._still.copy()
        unit = self._unit
        sway = round(3 * unit * math.sin(utc_s * 1.7 + self._sender))
        face(image, (self.width // 2 + sway, round(86 * unit)), round(32 * unit), utc_s, loudness)
        bounce = abs(math.sin(utc_s * 2.4 + self._sender))
        ball = (self.width - round(46 * unit), round((138 - 76 * bounce) * unit))
        cv2.circle(image, ball, round(13 * unit), (60, 100, 240), -1, _LINE)
        clock(image, utc_s, (round(8 * unit), round(156 * unit)), unit * 0.5)
        return image


class Slides:
    """A board: slides that turn every few seconds, and a pointer that wanders over them."""

    TURN_S = 8
    PAGES = (
        ("勾股定理", ("直角三角形中，", "两条直角边的平方和", "等于斜边的平方。"), "triangle"),
        ("a² + b² = c²", ("3² + 4² = 9 + 16 = 25 = 5²", "5² + 12² = 25 + 144 = 13²"), "squares"),
        ("想一想", ("一架 5 米长的梯子，", "下端离墙 3 米，", "上端离地多高？"), "ladder"),
    )

    def __init__(self, *, width: int = 1280, height: int = 720) -> None:
        self.width, self.height = width, height
        self._pages: dict[int, Image] = {}

    def page(self, utc_s: float) -> int:
        return int(utc_s // self.TURN_S) % len(self.PAGES)

    def draw(self, utc_s: float, loudness: float) -> Image:
        number = self.page(utc_s)
        if number not in self._pages:
            self._pages[number] = self._draw_page(number)
        image = self._pages[number].copy()
        angle = utc_s * 1.1
        across, down = 0.66 + 0.16 * math.cos(angle), 0.5 + 0.2 * math.sin(2 * angle)
        pointer = (int(self.width * across), int(self.height * down))
        cv2.circle(image, pointer, self.height // 60, (60, 60, 235), -1, _LINE)
        return image

    def _draw_page(self, number: int) -> Image:
        unit = self.height / 720
        title, lines, figure = self.PAGES[number]
        image = np.full((self.height, self.width, 3), 250, np.uint8)
        cv2.rectangle(image, (0, 0), (self.width, round(110 * unit)), (150, 92, 36), -1)
        text(image, title, (round(60 * unit), round(76 * unit)), round(54 * unit), (255, 255, 255), 700)
        for row, line in enumerate(lines):
            place = (round(70 * unit), round((220 + 76 * row) * unit))
            text(image, line, place, round(40 * unit), (60, 50, 40))
        page = f"{number + 1} / {len(self.PAGES)}"
        text(image, page, (round(60 * unit), round(640 * unit)), round(26 * unit), (140, 130, 120))
        self._draw_figure(image, figure, unit)
        return image

    def _draw_figure(self, image: Image, figure: str, unit: float) -> None:
        def at(x: float, y: float) -> tuple[int, int]:
            return round(x * unit), round(y * unit)

        right, top, corner = at(1180, 560), at(800, 230), at(800, 560)
        triangle = np.array([right, top, corner], np.int32)
        if figure == "ladder":
            cv2.line(image, at(800, 180), at(800, 600), (120, 110, 100), 8, _LINE)
            cv2.line(image, at(760, 600), at(1220, 600), (120, 110, 100), 8, _LINE)
            cv2.line(image, at(800, 250), at(1060, 600), (50, 120, 200), 10, _LINE)
            text(image, "5", at(950, 410), round(40 * unit), (50, 120, 200), 700)
            text(image, "3", at(910, 650), round(40 * unit), (60, 50, 40), 700)
            text(image, "?", at(755, 440), round(40 * unit), (60, 60, 235), 700)
            return
        cv2.fillPoly(image, [triangle], (225, 205, 170) if figure == "triangle" else (190, 225, 205), _LINE)
        cv2.polylines(image, [triangle], True, (120, 80, 30), 4, _LINE)
        for label, place in (("a", at(766, 410)), ("b", at(980, 600)), ("c", at(1010, 375))):
            text(image, label, place, round(40 * unit), (120, 80, 30), 700)


def face(image: Image, centre: tuple[int, int], radius: int, utc_s: float, loudness: float) -> None:
    """Hair, eyes that blink, and a mouth that opens with the sound."""
    x, y = centre
    cv2.circle(image, (x, y - radius // 5), round(radius * 1.08), (40, 44, 52), -1, _LINE)
    _disc(image, (x, y + radius // 8), (round(radius * 0.86), radius), (178, 208, 242))
    eye = 1 if utc_s % 3.1 < 0.12 else max(2, radius // 9)
    for side in (-1, 1):
        _disc(image, (x + side * radius // 3, y), (max(2, radius // 9), eye), (50, 44, 40))
    mouth = (max(2, radius // 4), max(1, round(radius * (0.04 + 0.22 * loudness))))
    _disc(image, (x, y + radius * 3 // 5), mouth, (70, 70, 176))


def clock(image: Image, utc_s: float, at: tuple[int, int], unit: float) -> None:
    words = time.strftime("%H:%M:%S", time.localtime(utc_s)) + f".{int(utc_s * 10) % 10}"
    thickness = max(1, round(unit * 2))
    cv2.putText(image, words, at, cv2.FONT_HERSHEY_DUPLEX, 0.9 * unit, (245, 245, 245), thickness, _LINE)


def flash(image: Image, utc_s: float) -> None:
    """The upper right corner, an eighth of the height: white while the beep sounds, else black."""
    side = image.shape[0] // 8
    image[:side, -side:] = 255 if flashing(utc_s) else 0


def _disc(image: Image, centre: tuple[int, int], radii: tuple[int, int], colour: Colour) -> None:
    cv2.ellipse(image, centre, radii, 0, 0, 360, colour, -1, _LINE)


def _colour(hue: int, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb((hue * 37 % 256) / 256, saturation, value)
    return round(blue * 255), round(green * 255), round(red * 255)
