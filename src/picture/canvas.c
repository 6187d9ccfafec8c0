/* Drawing by coverage: a pixel takes as much ink as the shape covers of it, estimated from the
 * distance of its centre, so that lines are smooth without oversampling. */
#include "picture/canvas.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

const colour colour_black = {0, 0, 0}, colour_white = {255, 255, 255};
const colour colour_grey = {100, 100, 100}, colour_light_grey = {220, 220, 220};
const colour colour_orange = {230, 159, 0}, colour_sky_blue = {86, 180, 233};
const colour colour_green = {0, 158, 115}, colour_yellow = {240, 228, 66};
const colour colour_blue = {0, 114, 178}, colour_vermilion = {213, 94, 0};
const colour colour_purple = {204, 121, 167};

ts_status canvas_create(int width, int height, canvas *out, ts_error *error)
{
    *out = (canvas){.width = width, .height = height};
    size_t count;
    if (width < 1 || height < 1 || !size_multiply((size_t)width * 3, (size_t)height, &count))
        return error_set(error, TS_BAD_INPUT, "a picture of %d x %d pixels cannot be drawn", width,
                         height);
    out->rgb = memory_allocate(count, 1, "the picture", error);
    if (!out->rgb)
        return TS_MEMORY;
    memset(out->rgb, 255, count);
    return TS_OK;
}

void canvas_free(canvas *c)
{
    free(c->rgb);
    *c = (canvas){0};
}

void canvas_blend(canvas *c, int x, int y, colour ink, float share)
{
    if (x < 0 || y < 0 || x >= c->width || y >= c->height || !(share > 0))
        return;
    uint8_t *pixel = c->rgb + ((size_t)y * (size_t)c->width + (size_t)x) * 3;
    const uint8_t target[3] = {ink.r, ink.g, ink.b};
    if (share > 1)
        share = 1;
    for (int k = 0; k < 3; k++)
        pixel[k] = (uint8_t)((float)pixel[k] + share * (float)(target[k] - pixel[k]) + 0.5f);
}

void canvas_rectangle(canvas *c, int x, int y, int width, int height, colour fill)
{
    for (int j = y; j < y + height; j++)
        for (int i = x; i < x + width; i++)
            canvas_blend(c, i, j, fill, 1);
}

static int to_page(float x, int limit)
{
    return x < 0 ? 0 : x > (float)limit ? limit : (int)x;
}

void canvas_line(canvas *c, point a, point b, float width, colour ink, float dash, float *along)
{
    const float dx = b.x - a.x, dy = b.y - a.y, length = sqrtf(dx * dx + dy * dy);
    const float before = along ? *along : 0, reach = width / 2 + 1;
    if (along)
        *along += length;
    const int x0 = to_page(fminf(a.x, b.x) - reach, c->width);
    const int x1 = to_page(fmaxf(a.x, b.x) + reach + 1, c->width);
    const int y0 = to_page(fminf(a.y, b.y) - reach, c->height);
    const int y1 = to_page(fmaxf(a.y, b.y) + reach + 1, c->height);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            const float px = (float)x + 0.5f - a.x, py = (float)y + 0.5f - a.y;
            float t = length > 0 ? (px * dx + py * dy) / length : 0;
            t = t < 0 ? 0 : t > length ? length : t;
            if (dash > 0 && fmodf((before + t) / dash, 2) >= 1)
                continue;
            const float ex = px - (length > 0 ? t * dx / length : 0);
            const float ey = py - (length > 0 ? t * dy / length : 0);
            canvas_blend(c, x, y, ink, width / 2 + 0.5f - sqrtf(ex * ex + ey * ey));
        }
}

void canvas_disc(canvas *c, point centre, float radius, colour ink)
{
    canvas_line(c, centre, centre, 2 * radius, ink, 0, NULL);
}

/* What the callbacks of libpng share with the writer. */
typedef struct {
    file_writer file;
    ts_error *error;
    ts_status status;
    const char *path;
} png_target;

static void write_bytes(png_structp png, png_bytep bytes, png_size_t count)
{
    png_target *t = png_get_io_ptr(png);
    t->status = file_write(&t->file, bytes, count, t->error);
    if (t->status != TS_OK)
        png_error(png, "write");
}

static void flush_bytes(png_structp png)
{
    (void)png;
}

/* libpng's own complaint, unless the file's came first. */
static void on_error(png_structp png, png_const_charp message)
{
    png_target *t = png_get_error_ptr(png);
    if (t->status == TS_OK)
        t->status = error_set(t->error, TS_IO, "cannot write '%s': %s", t->path, message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

/* libpng leaves by longjmp; nothing here is allocated between the two. */
static ts_status encode(png_structp png, png_infop info, const canvas *c, png_target *t)
{
    if (setjmp(png_jmpbuf(png)))
        return t->status;
    png_set_write_fn(png, t, write_bytes, flush_bytes);
    png_set_IHDR(png, info, (png_uint_32)c->width, (png_uint_32)c->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < c->height; y++)
        png_write_row(png, c->rgb + (size_t)y * (size_t)c->width * 3);
    png_write_end(png, info);
    return TS_OK;
}

ts_status canvas_write_png(const canvas *c, const char *path, ts_error *error)
{
    png_target t = {.error = error, .status = TS_OK, .path = path};
    ts_status status = file_begin(&t.file, path, error);
    if (status != TS_OK)
        return status;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &t, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info)
        status = encode(png, info, c, &t);
    else
        status = error_set(error, TS_MEMORY, "out of memory while writing '%s'", path);
    png_destroy_write_struct(&png, &info);
    if (status == TS_OK)
        return file_commit(&t.file, error);
    file_abort(&t.file);
    return status;
}
