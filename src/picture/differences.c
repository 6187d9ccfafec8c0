/* Paired differences: a line a group, a dot a patient, the mean with its interval as a bar; right
 * of the line at zero is better. */
#include "picture/canvas.h"
#include "picture/picture.h"

#include <math.h>

enum { PAGE = 1160, LEFT = 470, RIGHT = 40, TOP = 80, BOTTOM = 70, ROW = 34 };

/* The axis reaches `span` to both sides of zero. */
static float place(double value, double span)
{
    return (float)(LEFT + (value / span + 1) / 2 * (PAGE - LEFT - RIGHT));
}

/* The least round number that holds every value and interval. */
static double span_of(const picture_group *groups, size_t count)
{
    static const double steps[] = {1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10};
    double most = 1e-3;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fmax(fabs(groups[i].low), fabs(groups[i].high)));
        for (size_t k = 0; k < groups[i].count; k++)
            most = fmax(most, fabs(groups[i].values[k]));
    }
    const double power = pow(10, floor(log10(most)));
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (most <= steps[i] * power)
            return steps[i] * power;
    return 10 * power;
}

static void draw_axis(canvas *page, double span, int bottom, const char *axis)
{
    for (int i = -2; i <= 2; i++) {
        char label[32];
        const double value = span * i / 2;
        const float x = place(value, span);
        canvas_line(page, (point){x, TOP - 10}, (point){x, (float)bottom}, i ? 1 : 2,
                    i ? colour_light_grey : colour_grey, 0, NULL);
        snprintf(label, sizeof label, "%+.3g", value);
        canvas_text(page, (int)x - canvas_text_width(label, TEXT_PLAIN) / 2, bottom + 8, TEXT_PLAIN,
                    colour_grey, i ? label : "0");
    }
    canvas_text(page, 12, bottom + 36, TEXT_PLAIN, colour_grey, axis);
}

static void draw_group(canvas *page, const picture_group *g, double span, int y)
{
    const float middle = (float)y + ROW / 2.0f;
    const bool beyond = g->low > 0 || g->high < 0; /* the interval leaves zero out */
    const colour ink = beyond ? colour_vermilion : colour_black;
    canvas_text(page, 12, y + ROW / 2 - 7, TEXT_PLAIN, colour_black, g->label);
    for (size_t k = 0; k < g->count; k++) /* spread over five heights, so that equal ones show */
        canvas_disc(page, (point){place(g->values[k], span), middle - 8 + 4 * (float)(k % 5)}, 3.5f,
                    colour_sky_blue);
    canvas_line(page, (point){place(g->low, span), middle}, (point){place(g->high, span), middle},
                3, ink, 0, NULL);
    canvas_line(page, (point){place(g->mean, span), middle - 9},
                (point){place(g->mean, span), middle + 9}, 4, ink, 0, NULL);
}

ts_status picture_differences(const char *path, const char *title, const char *axis,
                              const picture_group *groups, size_t count, ts_error *error)
{
    canvas page;
    const double span = span_of(groups, count);
    const int bottom = TOP + ROW * (int)count;
    if (count > 1000)
        return error_set(error, TS_BAD_INPUT, "'%s': %zu groups are more than a picture holds",
                         path, count);
    ts_status status = canvas_create(PAGE, bottom + BOTTOM, &page, error);
    if (status != TS_OK)
        return status;
    canvas_title(&page, 12, 12, title);
    draw_axis(&page, span, bottom, axis);
    for (size_t i = 0; i < count; i++)
        draw_group(&page, &groups[i], span, TOP + ROW * (int)i);
    status = canvas_write_png(&page, path, error);
    canvas_free(&page);
    return status;
}
