/* Curves of metrics.csv: columns whose names begin with "loss" in one panel, with "dice" in
 * another, over the first column. A run that waits for its first Dice has one panel. */
#include "picture/canvas.h"
#include "picture/picture.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MAX     16
#define NAME_MAX_BYTES 40

/* Columns of numbers; NAN where a cell is empty or not a number. */
typedef struct {
    size_t rows, columns; /* without the step */
    char names[SERIES_MAX][NAME_MAX_BYTES];
    double *steps;  /* [rows] */
    double *values; /* [columns][rows] */
} metrics;

static const colour *const series_colours[] = {&colour_blue,   &colour_vermilion, &colour_green,
                                               &colour_orange, &colour_purple,    &colour_sky_blue};

static bool is_drawn(const char *name)
{
    return !strncmp(name, "loss", 4) || !strncmp(name, "dice", 4);
}

/* m is to be freed (metrics_free) also after an error. */
static ts_status metrics_take(const csv_table *t, const char *name, metrics *m, ts_error *error)
{
    int places[SERIES_MAX];
    if (!t->columns || strcmp(t->names[0], "step"))
        return error_set(error, TS_BAD_INPUT,
                         "'%s' is not a run's metrics: its first line does not begin with 'step'",
                         name);
    for (size_t c = 1; c < t->columns && m->columns < SERIES_MAX; c++)
        if (is_drawn(t->names[c])) {
            snprintf(m->names[m->columns], NAME_MAX_BYTES, "%s", t->names[c]);
            places[m->columns++] = (int)c;
        }
    m->steps = memory_allocate(t->rows, sizeof(double), "a run's metrics", error);
    m->values = memory_allocate(t->rows, m->columns * sizeof(double), "a run's metrics", error);
    if (!m->steps || !m->values)
        return TS_MEMORY;
    m->rows = t->rows;
    for (size_t r = 0; r < t->rows; r++) {
        if (!csv_number(t, r, 0, &m->steps[r]))
            return error_set(error, TS_BAD_INPUT, "'%s' line %lld: the step is not a number", name,
                             (long long)t->lines[r]);
        for (size_t c = 0; c < m->columns; c++) {
            double *value = &m->values[c * m->rows + r];
            if (!csv_number(t, r, places[c], value))
                *value = NAN;
        }
    }
    return TS_OK;
}

static ts_status metrics_read(const char *path, metrics *m, ts_error *error)
{
    csv_table t;
    ts_status status = csv_read(path, (size_t)1 << 30, true, &t, error);
    if (status != TS_OK)
        return status;
    status = metrics_take(&t, path, m, error);
    csv_free(&t);
    return status;
}

static void metrics_free(metrics *m)
{
    free(m->steps);
    free(m->values);
}

/* ---- a panel ------------------------------------------------------------------------------ */

enum { PAGE_WIDTH = 960, PLOT_HEIGHT = 300, LEFT = 90, RIGHT = 250, TOP = 60, BETWEEN = 70 };

typedef struct {
    double low, high, tick;
} axis;

/* A tick of 1, 2 or 5 times a power of ten, about `parts` of them; low and high on ticks. */
static axis axis_fit(double low, double high, int parts)
{
    if (!(high > low))
        high = low + 1;
    const double raw = (high - low) / parts, power = pow(10, floor(log10(raw)));
    const double tick = raw <= power       ? power
                        : raw <= 2 * power ? 2 * power
                        : raw <= 5 * power ? 5 * power
                                           : 10 * power;
    return (axis){floor(low / tick + 1e-9) * tick, ceil(high / tick - 1e-9) * tick, tick};
}

typedef struct {
    canvas *page;
    int top;
    axis x, y;
} panel;

static point place(const panel *p, double x, double y)
{
    const double width = PAGE_WIDTH - LEFT - RIGHT;
    return (point){
        (float)(LEFT + (x - p->x.low) / (p->x.high - p->x.low) * width),
        (float)(p->top + PLOT_HEIGHT - (y - p->y.low) / (p->y.high - p->y.low) * PLOT_HEIGHT)};
}

static void draw_axes(const panel *p, const char *title, const char *x_title)
{
    char label[32];
    canvas_text(p->page, LEFT, p->top - 22, TEXT_PLAIN, colour_black, title);
    for (int i = 0; p->y.low + i * p->y.tick <= p->y.high + 1e-9 * p->y.tick; i++) {
        const double y = p->y.low + i * p->y.tick;
        const point a = place(p, p->x.low, y), b = place(p, p->x.high, y);
        canvas_line(p->page, a, b, 1, colour_light_grey, 0, NULL);
        snprintf(label, sizeof label, "%.6g", fabs(y) < 1e-9 * p->y.tick ? 0 : y);
        canvas_text(p->page, LEFT - 8 - canvas_text_width(label, TEXT_PLAIN), (int)a.y - 7,
                    TEXT_PLAIN, colour_grey, label);
    }
    for (int i = 0; p->x.low + i * p->x.tick <= p->x.high + 1e-9 * p->x.tick; i++) {
        const double x = p->x.low + i * p->x.tick;
        const point a = place(p, x, p->y.low);
        canvas_line(p->page, a, (point){a.x, a.y + 6}, 1, colour_grey, 0, NULL);
        snprintf(label, sizeof label, "%.9g", x);
        canvas_text(p->page, (int)a.x - canvas_text_width(label, TEXT_PLAIN) / 2, (int)a.y + 10,
                    TEXT_PLAIN, colour_grey, label);
    }
    const point corner = place(p, p->x.low, p->y.low);
    canvas_line(p->page, corner, place(p, p->x.high, p->y.low), 1, colour_grey, 0, NULL);
    canvas_line(p->page, corner, place(p, p->x.low, p->y.high), 1, colour_grey, 0, NULL);
    canvas_text(p->page, PAGE_WIDTH - RIGHT + 44, (int)corner.y + 10, TEXT_PLAIN, colour_grey,
                x_title);
}

/* Rows are averaged over about two pixels of width, so that long runs stay readable; a curve of
 * few values shows each as a dot. */
static void draw_series(const panel *p, const metrics *m, size_t column, colour ink)
{
    const double *values = m->values + column * m->rows;
    const double bin = 2 * (p->x.high - p->x.low) / (PAGE_WIDTH - LEFT - RIGHT);
    size_t known = 0;
    for (size_t i = 0; i < m->rows; i++)
        known += !isnan(values[i]);
    bool first = true;
    point last = {0, 0};
    for (size_t i = 0; i < m->rows;) {
        const double start = m->steps[i];
        double x = 0, y = 0, count = 0;
        for (; i < m->rows && m->steps[i] < start + bin && m->steps[i] >= start; i++) {
            if (isnan(values[i]))
                continue;
            x += m->steps[i];
            y += values[i];
            count++;
        }
        if (count == 0)
            continue;
        const point here = place(p, x / count, y / count);
        if (!first)
            canvas_line(p->page, last, here, 1.8f, ink, 0, NULL);
        if (known <= 60)
            canvas_disc(p->page, here, 3, ink);
        last = here;
        first = false;
    }
}

/* Lowest and highest value of the panel's columns; false where there is none. */
static bool range_of(const metrics *m, const char *prefix, double *low, double *high)
{
    bool any = false;
    for (size_t c = 0; c < m->columns; c++) {
        if (strncmp(m->names[c], prefix, strlen(prefix)) != 0)
            continue;
        for (size_t i = 0; i < m->rows; i++) {
            const double v = m->values[c * m->rows + i];
            if (isnan(v))
                continue;
            *low = any ? fmin(*low, v) : v;
            *high = any ? fmax(*high, v) : v;
            any = true;
        }
    }
    return any;
}

/* "loss_student" reads "Student", "dice_teacher_wt" reads "Teacher WT". */
static void legend_name(const char *column, char name[NAME_MAX_BYTES])
{
    char *upper = strrchr(strcpy(name, column[4] == '_' && column[5] ? column + 5 : column), '_');
    for (char *c = upper; c && *c && !strncmp(column, "dice", 4); c++)
        *c = (char)toupper((unsigned char)*c);
    for (char *c = name; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    name[0] = (char)toupper((unsigned char)name[0]);
}

static void draw_panel(panel *p, const metrics *m, const char *prefix, const char *title)
{
    int row = 0;
    draw_axes(p, title, "Step");
    for (size_t c = 0; c < m->columns; c++) {
        double low, high;
        char name[NAME_MAX_BYTES];
        if (strncmp(m->names[c], prefix, strlen(prefix)) != 0 ||
            !range_of(m, m->names[c], &low, &high))
            continue;
        const colour ink = *series_colours[(size_t)row % COUNT_OF(series_colours)];
        const int x = PAGE_WIDTH - RIGHT + 14, y = p->top + 6 + 22 * row++;
        draw_series(p, m, c, ink);
        canvas_rectangle(p->page, x, y + 5, 24, 4, ink);
        legend_name(m->names[c], name);
        canvas_text(p->page, x + 32, y, TEXT_PLAIN, colour_black, name);
    }
}

static ts_status draw_curves(const metrics *m, const char *title, const char *source, canvas *page,
                             ts_error *error)
{
    double loss_low = 0, loss_high = 1, dice_low, dice_high;
    const bool loss = range_of(m, "loss", &loss_low, &loss_high);
    const bool dice = range_of(m, "dice", &dice_low, &dice_high);
    if (!loss && !dice)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' holds no loss and no Dice yet: nothing can be drawn", source);
    const int panels = loss + dice;
    ts_status status =
        canvas_create(PAGE_WIDTH, TOP + panels * (PLOT_HEIGHT + BETWEEN), page, error);
    if (status != TS_OK)
        return status;
    canvas_title(page, 12, 12, title);
    double low = m->steps[0], high = low;
    for (size_t i = 0; i < m->rows; i++) {
        low = fmin(low, m->steps[i]);
        high = fmax(high, m->steps[i]);
    }
    panel p = {.page = page, .top = TOP, .x = axis_fit(low, high, 6)};
    if (loss) {
        p.y = axis_fit(fmin(loss_low, 0), loss_high, 6);
        draw_panel(&p, m, "loss", "Loss");
        p.top += PLOT_HEIGHT + BETWEEN;
    }
    if (dice) {
        p.y = (axis){0, 1, 0.2};
        draw_panel(&p, m, "dice", "Dice of the validation cases");
    }
    return TS_OK;
}

ts_status picture_curves(const char *path, const char *title, const char *metrics_csv,
                         ts_error *error)
{
    metrics m = {0};
    canvas page = {0};
    ts_status status = metrics_read(metrics_csv, &m, error);
    if (status != TS_OK)
        goto done;
    status = draw_curves(&m, title, metrics_csv, &page, error);
    if (status != TS_OK)
        goto done;
    status = canvas_write_png(&page, path, error);
done:
    canvas_free(&page);
    metrics_free(&m);
    return status;
}
