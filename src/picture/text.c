/* Text on a page: letters copied from the strips of font.c, as ink by their coverage. */
#include "picture/canvas.h"

#include <string.h>

/* The letter at *s, which advances: its place in the strips, -1 where nothing is drawn. */
static int next_letter(const char **s)
{
    uint32_t code = 0xFFFD;
    const int bytes = utf8_decode(*s, &code);
    *s += bytes ? bytes : 1;
    if (code >= 0x300 && code <= 0x36F)
        return -1;
    int low = 0, high = FONT_LETTERS - 1;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (font_codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return font_codes[low] == code ? low : FONT_LETTERS - 1;
}

static int letter_width(const font_strip *f, int letter)
{
    return f->starts[letter + 1] - f->starts[letter] - 2;
}

void canvas_text(canvas *c, int x, int y, text_size size, colour ink, const char *s)
{
    const font_strip *f = &font_strips[size];
    while (*s) {
        const int letter = next_letter(&s);
        if (letter < 0)
            continue;
        for (int row = 0; row < f->height; row++)
            for (int column = f->starts[letter]; column < f->starts[letter + 1]; column++) {
                const uint8_t coverage = (uint8_t)f->pixels[row * f->width + column];
                canvas_blend(c, x + column - f->starts[letter] - 1, y + row - f->above, ink,
                             (float)coverage / 255);
            }
        x += letter_width(f, letter);
    }
}

int canvas_text_width(const char *s, text_size size)
{
    int width = 0;
    while (*s) {
        const int letter = next_letter(&s);
        width += letter < 0 ? 0 : letter_width(&font_strips[size], letter);
    }
    return width;
}

void canvas_title(canvas *c, int x, int y, const char *s)
{
    static const char ellipsis[] = "\xE2\x80\xA6";
    char shown[1024];
    const int width = c->width - 2 * x;
    escape_into(shown, sizeof shown - sizeof ellipsis, s);
    const text_size size = canvas_text_width(shown, TEXT_TITLE) <= width ? TEXT_TITLE : TEXT_PLAIN;
    for (size_t length = strlen(shown); length && canvas_text_width(shown, size) > width;) {
        do
            length--;
        while (length && ((unsigned char)shown[length] & 0xC0) == 0x80);
        memcpy(shown + length, ellipsis, sizeof ellipsis);
    }
    canvas_text(c, x, y, size, colour_black, shown);
}
