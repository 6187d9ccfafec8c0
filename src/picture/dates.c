/* Two dates of a patient side by side: a row for each plane, a column for each date. */
#include "picture/picture.h"
#include "picture/scene.h"

#include <string.h>

static ts_status draw_page(const scene *s, const char *title, const picture_date dates[2],
                           canvas *page, ts_error *error)
{
    int column = 0, height = HEAD;
    for (int i = 0; i < 3; i++) {
        const int width = scene_pixels(s, scene_views[i].right);
        column = width > column ? width : column;
        height += scene_pixels(s, scene_views[i].down) + GAP;
    }
    int width = NAMES + 2 * (column + GAP);
    width = width < scene_legend_width() ? scene_legend_width() : width;
    ts_status status = canvas_create(width, height + FOOT + GAP, page, error);
    if (status != TS_OK)
        return status;
    canvas_title(page, GAP, GAP + 2, title);
    for (int d = 0; d < 2; d++)
        canvas_text(page, NAMES + d * (column + GAP), HEAD - 20, TEXT_PLAIN, colour_grey,
                    dates[d].name);
    for (int i = 0, top = HEAD; status == TS_OK && i < 3; i++) {
        canvas_text(page, GAP, top + GAP, TEXT_PLAIN, colour_black, scene_views[i].name);
        for (int d = 0; status == TS_OK && d < 2; d++)
            status = scene_draw_panel(page, s, &scene_views[i], d, 1u << d,
                                      NAMES + d * (column + GAP), top, error);
        top += scene_pixels(s, scene_views[i].down) + GAP;
    }
    scene_draw_legend(page, s, "Lines: the labels of each date", height);
    return status;
}

ts_status picture_dates(const char *path, const char *title, const volume_header *header,
                        const picture_date dates[2], ts_error *error)
{
    scene s = {.all_solid = true};
    canvas page = {0};
    const float *const images[MODALITIES] = {dates[0].image, dates[1].image};
    const uint8_t *const labels[LABELINGS] = {dates[0].labels, dates[1].labels};
    ts_status status = scene_make(&s, header, images, labels, error);
    if (status == TS_OK)
        status = draw_page(&s, title, dates, &page, error);
    if (status == TS_OK)
        status = canvas_write_png(&page, path, error);
    canvas_free(&page);
    scene_free(&s);
    return status;
}
