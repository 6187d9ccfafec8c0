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

/* Okabe and Ito, "Color universal design" (2008): told apart by all kinds of colour vision. */
extern const colour colour_black, colour_white, colour_grey, colour_light_grey;
extern const colour colour_orange, colour_sky_blue, colour_green, colour_yellow, colour_blue;
extern const colour colour_vermilion, colour_purple;

/* A white page. */
ts_status canvas_create(int width, int height, canvas *out, ts_error *error);
void canvas_free(canvas *c);

/* What lies beyond the page is cut, here and below. */
void canvas_rectangle(canvas *c, int x, int y, int width, int height, colour fill);

/* Covers a pixel to the share given, 0 to 1. */
void canvas_blend(canvas *c, int x, int y, colour ink, float share);

/* Places on the page are in pixels, pixel (0, 0) spanning 0 to 1. */
typedef struct {
    float x, y;
} point;

/* Dashes of dash pixels and gaps as long; 0 draws a whole line. *along is the length drawn before
 * this segment and grows by its own, so that dashes run on around corners. NULL: from 0. */
void canvas_line(canvas *c, point a, point b, float width, colour ink, float dash, float *along);
void canvas_disc(canvas *c, point centre, float radius, colour ink);

/* Letters of 5 x 7 dots in cells of 6 x 8, each dot scale x scale pixels. (x, y) is the upper left
 * corner. Letters beyond ASCII show as '?'. */
void canvas_text(canvas *c, int x, int y, int scale, colour ink, const char *s);
int canvas_text_width(const char *s, int scale);
enum { FONT_WIDTH = 6, FONT_HEIGHT = 8 };
extern const uint8_t font_rows[95][7]; /* ' ' to '~'; bit 4 is the leftmost dot */

ts_status canvas_write_png(const canvas *c, const char *path, ts_error *error);

#endif
