#!/usr/bin/env python3
"""Draws the letters of src/picture from a font file, once: writes src/picture/font-16.pgm,
font-22.pgm (a strip each: 8-bit grey, white on black) and font.c (where each letter lies in them).
By hand: font.py [FONT.ttf]; needs python3-pil and fonts-dejavu-core of Debian. The font's licence is
src/picture/font-licence.txt."""
import pathlib
import sys

from PIL import Image, ImageDraw, ImageFont

FONT = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
SIZES = (16, 22)  # pixels of the em square
# ASCII, Latin-1 and Latin Extended-A; dashes, quotes, ellipsis, minus; last the mark of the others
CODES = [*range(0x20, 0x7F), *range(0xA0, 0x180), 0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D,
         0x2026, 0x2212, 0xFFFD]
place = pathlib.Path(__file__).parent.parent / "src/picture"


def draw(size):
    """The strip, each letter in its advance and a column more on both sides; rows above the
    capitals; where letters begin."""
    font = ImageFont.truetype(FONT, size, layout_engine=ImageFont.Layout.BASIC)
    ascent, descent = font.getmetrics()
    starts = [0]
    for code in CODES:
        starts.append(starts[-1] + round(font.getlength(chr(code))) + 2)
    strip = Image.new("L", (starts[-1], ascent + descent))
    for code, start, end in zip(CODES, starts, starts[1:]):
        cell = Image.new("L", (end - start, ascent + descent))
        ImageDraw.Draw(cell).text((1, 0), chr(code), font=font, fill=255)
        strip.paste(cell, (start, 0))
    above = ascent + font.getbbox("H", anchor="ls")[1]
    return strip, above, starts


def rows(numbers):
    lines, line = [], "   "
    for number in numbers:
        if len(line) + len(str(number)) > 98:
            lines.append(line)
            line = "   "
        line += f" {number},"
    return "\n".join([*lines, line])


code = f"""/* The letters of pictures: where each lies in the strips. tools/font.py made this and the strips
 * from DejaVu Sans, whose licence is font-licence.txt. */
#include "picture/canvas.h"

/* clang-format off */
const uint32_t font_codes[FONT_LETTERS] = {{
{rows(hex(c) for c in CODES)}
}};
"""
table = ""
for size in SIZES:
    strip, above, starts = draw(size)
    header = f"P5\n# DejaVu Sans, see font-licence.txt\n{strip.width} {strip.height}\n255\n".encode()
    (place / f"font-{size}.pgm").write_bytes(header + strip.tobytes())
    code += f"""
static const uint16_t starts_{size}[FONT_LETTERS + 1] = {{
{rows(starts)}
}};
EMBED(font_pixels_{size}, "picture/font-{size}.pgm", {len(header)});
"""
    table += f"    {{font_pixels_{size}, starts_{size}, {strip.width}, {strip.height}, {above}}},\n"
code += f"""
const font_strip font_strips[FONT_SIZES] = {{
{table}}};
"""
(place / "font.c").write_text(code)
print(len(CODES), "letters")
