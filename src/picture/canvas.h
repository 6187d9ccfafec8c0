/* A page of RGB pixels: rectangles, smooth lines, text in a built-in font, PNG by rename. */
#ifndef TWINSEG_PICTURE_CANVAS_H
#define TWINSEG_PICTURE_CANVAS_H

#include "base/base.h"

typedef struct {
    int width, height;
    uint8_t *rgb; /* [height][width][3], owned */
} canvas;

typedef struct {
    uint8_t r, g, b;
} colour;

/* Okabe and Ito, "Color universal design" (2008): distinct for all kinds of colour vision. */
extern const colour colour_black, colour_white, colour_grey, colour_light_grey;
extern const colour colour_orange, colour_sky_blue, colour_green, colour_yellow, colour_blue;
extern const colour colour_vermilion, colour_purple;

/* A white page. */
ts_status canvas_create(int width, int height, canvas *out, ts_error *error);
void canvas_free(canvas *c);

/* This and the functions below draw nothing outside the page. */
void canvas_rectangle(canvas *c, int x, int y, int width, int height, colour fill);

/* Mixes ink into a pixel: share 0 leaves it as it is, 1 replaces it. */
void canvas_blend(canvas *c, int x, int y, colour ink, float share);

/* Places on the page are in pixels, pixel (0, 0) spanning 0 to 1. */
typedef struct {
    float x, y;
} point;

/* Dashes of `dash` pixels with gaps of the same length; 0 draws a solid line. *along is the length
 * drawn before this segment, which is added to it, so that dashes continue around corners; NULL
 * counts as 0. */
void canvas_line(canvas *c, point a, point b, float width, colour ink, float dash, float *along);
void canvas_disc(canvas *c, point centre, float radius, colour ink);

/* ---- text: DejaVu Sans, drawn beforehand (tools/font.py) ------------------------------------ */

typedef enum { TEXT_PLAIN, TEXT_TITLE, FONT_SIZES } text_size; /* capitals of 12 and 16 pixels */

/* s is UTF-8. Latin letters, digits and punctuation of European languages have glyphs; any other
 * character is drawn as U+FFFD, and combining accents (U+0300 to U+036F) are skipped. (x, y) is the
 * upper left corner of a capital letter. */
void canvas_text(canvas *c, int x, int y, text_size size, colour ink, const char *s);
int canvas_text_width(const char *s, text_size size);

/* The page's title at (x, y): as large as fits into the page, else cut, with an ellipsis. Control
 * characters are shown as \x1b and the like. */
void canvas_title(canvas *c, int x, int y, const char *s);

/* All glyphs side by side: [height][width] of coverage, 0 to 255. Glyph i is in the columns
 * starts[i] to starts[i + 1] - 1; the first and the last of these are outside its advance width. */
typedef struct {
    const char *pixels;
    const uint16_t *starts;
    int width, height;
    int above; /* rows above a capital letter */
} font_strip;

enum { FONT_LETTERS = 328 };
extern const uint32_t font_codes[FONT_LETTERS]; /* ascending; the last stands for all others */
extern const font_strip font_strips[FONT_SIZES];

/* ---- the file ------------------------------------------------------------------------------- */

ts_status canvas_write_png(const canvas *c, const char *path, ts_error *error);

#endif
