"""The flow figure as PNG and PDF, for a journal: the very shapes of its SVG, drawn by matplotlib.

matplotlib brings a font along, so that a picture comes out the same on a machine that has none, and it is
found out beforehand when no font has a letter.
"""

from __future__ import annotations

import io
import logging
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from .. import __version__
from ..errors import ExtraNeeded, InputError
from .drawing import BOLD, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = 7.0  # width of the picture: two columns of a journal
_DPI = 600  # what journals ask for line drawings
_SVG = "{http://www.w3.org/2000/svg}"
_FAMILIES = ("Helvetica", "Arial", "Liberation Sans", "DejaVu Sans")  # the last comes with matplotlib


def as_picture(drawn: str, kind: str) -> bytes:
    """Draw a standalone flow figure as a picture.

    Parameters
    ----------
    drawn : str
        What `flow_figure` made: of SVG, nothing else is understood.
    kind : str
        "png" or "pdf".

    Raises
    ------
    InputError
        When no font of this machine has a letter of it.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExtraNeeded("The figure as PNG or PDF (.svg needs nothing)", "figures") from error
    root = ET.fromstring(drawn)
    x, y, width, height = map(float, root.attrib["viewBox"].split())
    # A configuration of the user's own must not change the figure.
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        # Fonts are embedded as they are, so that the text can be searched and edited.
        matplotlib.rcParams["pdf.fonttype"] = 42
        figure = Figure(figsize=(_INCHES, _INCHES * height / width), dpi=_DPI, facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(x, x + width), ylim=(y + height, y))
        axes.axis("off")
        _Painter(axes, 72 * _INCHES / width, _families("".join(root.itertext()))).paint(root)
        made = io.BytesIO()
        if kind == "pdf":
            metadata = {
                "Title": root.findtext(f"{_SVG}title"),
                "Creator": f"triage {__version__}",
                "CreationDate": None,
            }
            figure.savefig(made, format="pdf", metadata=metadata)
        else:
            figure.savefig(made, format="png")
    return made.getvalue() if kind == "pdf" else _in_greys(made)


def _in_greys(picture: io.BytesIO) -> bytes:
    """Return a picture in black and white without its colours, a third of the size."""
    from PIL import Image

    made = io.BytesIO()
    Image.open(picture).convert("L").save(made, "png", dpi=(_DPI, _DPI), optimize=True)
    return made.getvalue()


def _families(text: str) -> list[str]:
    """Return the fonts to set `text` in: each letter in the first that has it."""
    import matplotlib
    from matplotlib import font_manager

    # It warns about every font that it cannot find.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    fonts = font_manager.fontManager
    families = [name for name in _FAMILIES if name in fonts.get_font_names()]
    missing = {ord(c) for c in text if not c.isspace()}
    for name in families:
        missing -= _letters(fonts.findfont(font_manager.FontProperties(family=name)))
    # What else comes with matplotlib is made for formulas: its numbers do not mean letters.
    others = [font for font in fonts.ttflist if not font.fname.startswith(matplotlib.get_data_path())]
    for font in sorted(others, key=lambda font: (font.style != "normal", font.name)):
        if not missing:
            break
        if font.name not in families and (found := missing & _letters(font.fname)):
            families.append(font.name)
            missing -= found
    if missing:
        letters = "".join(map(chr, sorted(missing)))[:20]
        raise InputError(
            f"No font on this machine has {letters!r}, so the picture would show boxes in their place; install one, or "
            f"write the figure as .svg, which is drawn with the reader's own fonts."
        )
    return families


def _letters(path: str) -> set[int]:
    from matplotlib.font_manager import get_font

    try:
        return set(get_font(path).get_charmap())
    except (RuntimeError, OSError):  # a font of pictures, or one that was taken off since
        return set()


class _Painter:
    """Draws the elements of a figure's SVG on `axes` in its units, of `scale` points each."""

    def __init__(self, axes: Axes, scale: float, families: list[str]):
        self.axes, self.scale, self.families = axes, scale, families

    def paint(self, parent: ET.Element) -> None:
        """Draw what `parent` holds."""
        for element in parent:
            name = element.tag.removeprefix(_SVG)
            if name == "g":
                # The only groups are names of phases, turned by a quarter.
                _, x, y = element.attrib["transform"].removeprefix("rotate(").removesuffix(")").split()
                self._text(element[0], (float(x), float(y)))
            elif name == "rect" and not element.attrib["width"].endswith("%"):
                self._box(element)
            elif name in ("polyline", "polygon"):
                self._line(element, is_head=name == "polygon")
            elif name == "text":
                self._text(element)

    def _box(self, element: ET.Element) -> None:
        from matplotlib.patches import FancyBboxPatch

        x, y, width, height, corner = (float(element.attrib[k]) for k in ("x", "y", "width", "height", "rx"))
        shade, dashes = float(element.get("fill-opacity", 0)), element.get("stroke-dasharray")
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y),
                width,
                height,
                boxstyle=f"round,pad=0,rounding_size={corner}",
                edgecolor="black",
                facecolor=str(1 - shade) if shade else "none",
                linewidth=self.scale,
                linestyle=(0, tuple(map(float, dashes.split()))) if dashes else "solid",
            )
        )

    def _line(self, element: ET.Element, *, is_head: bool) -> None:
        from matplotlib.patches import Polygon

        points = [tuple(map(float, point.split(","))) for point in element.attrib["points"].split()]
        self.axes.add_patch(
            Polygon(
                points,
                closed=is_head,
                fill=is_head,
                facecolor="black",
                edgecolor="black",
                linewidth=0 if is_head else self.scale,
                capstyle="butt",
            )
        )

    def _text(self, element: ET.Element, turned_about: tuple[float, float] | None = None) -> None:
        from matplotlib.font_manager import FontProperties
        from matplotlib.textpath import text_to_path

        written = element.text or ""
        x, y, size = (float(element.attrib[k]) for k in ("x", "y", "font-size"))
        bold = element.get("font-weight") is not None
        if turned_about is not None:
            across, down = turned_about
            x, y = across + (y - down), down - (x - across)
        font = FontProperties(family=self.families, weight="bold" if bold else "normal", size=size * self.scale)
        # The boxes are made for the width that the layout reckons with; a wider font is set smaller.
        wide = text_to_path.get_text_width_height_descent(written, font, False)[0] if written else 0.0
        room = text_width(written, size) * (BOLD if bold else 1) * self.scale
        if wide > room:
            font.set_size(size * self.scale * room / wide)
        self.axes.text(
            x,
            y,
            written,
            fontproperties=font,
            parse_math=False,
            rotation=0 if turned_about is None else 90,
            rotation_mode="anchor",
            verticalalignment="baseline",
            horizontalalignment={"start": "left", "middle": "center", "end": "right"}[element.attrib["text-anchor"]],
        )
