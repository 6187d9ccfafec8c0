/* The table as Markdown for people, as CSV and JSON for programs, as a picture. */
#include "picture/picture.h"
#include "study/table.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const metric_names[METRICS] = {"dice", "hd95", "lesion_dice", "lesion_hd95"};
const char *const group_names[GROUPS] = {"WT", "TC", "ET", "mean"};

static ts_status put(text *t, const char *path, ts_error *error)
{
    const ts_status status =
        t->failed ? error_set(error, TS_MEMORY, "out of memory while writing '%s'", path)
                  : file_put(path, t->data, t->length, error);
    text_free(t);
    return status;
}

/* ---- Markdown -------------------------------------------------------------------------------- */

static void append_figure(text *t, const figure *f, int digits)
{
    if (isnan(f->mean))
        text_append(t, " |");
    else
        text_append(t, " %.*f (%.*f) |", digits, f->mean, digits, f->median);
}

static void append_dice(text *t, const figure *f)
{
    if (isnan(f->mean))
        text_append(t, " |");
    else
        text_append(t, " %.3f (%.3f) [%.3f, %.3f] |", f->mean, f->median, f->mean_low,
                    f->mean_high);
}

/* Three digits, the last ones of a small p as a power. */
static void append_p(text *t, double p)
{
    if (isnan(p))
        text_append(t, " |");
    else
        text_append(t, p < 0.001 ? " %.1e |" : " %.3f |", p);
}

static void append_scores(text *t, const table_row *row, int g)
{
    const figure *dice = &row->figures[0][g];
    text_append(t, "| %s | %s | %s | %zu |", row->subset, row->arm, group_names[g], row->patients);
    append_dice(t, dice);
    for (int m = 1; m < METRICS; m++)
        append_figure(t, &row->figures[m][g], m % 2 ? 1 : 3);
    if (isnan(dice->difference))
        text_append(t, " | |");
    else {
        text_append(t, " %+.3f [%+.3f, %+.3f] |", dice->difference, dice->low, dice->high);
        append_p(t, dice->p);
    }
    if (isnan(dice->share))
        text_append(t, " |\n");
    else
        text_append(t, " %.0f %% |\n", 100 * dice->share);
}

static void append_costs(text *t, const table *whole)
{
    text_append(t, "\n| modalities | arm | runs | min a run | s a step |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < whole->count; i++) {
        const table_row *row = &whole->rows[i];
        text_append(t, "| %s | %s | %zu of %zu |", row->subset, row->arm, row->runs,
                    row->runs_planned);
        if (row->runs)
            text_append(t, " %.1f | %.3f |\n", row->seconds / 60, row->seconds / row->steps);
        else
            text_append(t, " | |\n");
    }
}

ts_status table_write_markdown(const table *whole, const char *path, ts_error *error)
{
    const study *s = whole->study;
    text t = {0};
    text_append(
        &t,
        "# Study %s: %zu of %zu cells\n\n"
        "%d folds, every patient is scored by runs that were not trained on it; %zu %s, averaged "
        "by "
        "patient\nfirst. Mean (median) over patients, of Dice with the bootstrap's 95 %% "
        "interval of the mean; Dice and\nHD95 in mm as BraTS 2017 to 2021 score them, lesion "
        "Dice and HD95 as BraTS 2023. Difference: Dice\nminus that of "
        "`%s` over the same patients, with the bootstrap's interval; p: "
        "Wilcoxon's signed-rank test, two-sided, not corrected for\nthe number of rows. Lead: "
        "share of the teacher's lead over `%s` that the arm closes, where the interval of that\n"
        "lead is above zero.\n\n",
        s->name, whole->cells_done, s->cell_count, s->folds, s->seed_count,
        s->seed_count == 1 ? "seed" : "seeds", s->arms[s->reference].name,
        s->arms[s->reference].name);
    text_append(
        &t, "| modalities | arm | region | patients | Dice | HD95 | lesion Dice | lesion HD95 | "
            "difference | p | lead |\n|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < whole->count; i++)
        for (int g = 0; g < GROUPS; g++)
            append_scores(&t, &whole->rows[i], g);
    append_costs(&t, whole);
    return put(&t, path, error);
}

/* ---- CSV and JSON ---------------------------------------------------------------------------- */

static void append_number(text *t, double value)
{
    if (isnan(value))
        text_append(t, ",");
    else
        text_append(t, ",%.10g", value);
}

ts_status table_write_csv(const table *whole, const char *path, ts_error *error)
{
    text t = {0};
    text_append(&t,
                "modalities,arm,region,metric,runs,patients,mean,mean_low,mean_high,median,pairs,"
                "difference,low,high,p,lead_closed,seconds_a_run,steps\n");
    for (size_t i = 0; i < whole->count; i++)
        for (int g = 0; g < GROUPS; g++)
            for (int m = 0; m < METRICS; m++) {
                const table_row *row = &whole->rows[i];
                const figure *f = &row->figures[m][g];
                text_append_id(&t, row->subset);
                text_append(&t, ",");
                text_append_id(&t, row->arm); /* may begin with '+' */
                text_append(&t, ",%s,%s,%zu,%zu", group_names[g], metric_names[m], row->runs,
                            row->patients);
                const double own[] = {f->mean, f->mean_low, f->mean_high, f->median};
                for (size_t k = 0; k < COUNT_OF(own); k++)
                    append_number(&t, own[k]);
                text_append(&t, ",%zu", row->pairs);
                const double rest[] = {f->difference, f->low,       f->high,   f->p,
                                       f->share,      row->seconds, row->steps};
                for (size_t k = 0; k < COUNT_OF(rest); k++)
                    append_number(&t, rest[k]);
                text_append(&t, "\n");
            }
    return put(&t, path, error);
}

static json_t *number(double value)
{
    return isnan(value) ? json_null() : json_real(value);
}

static json_t *json_row(const table_row *row)
{
    json_t *scores = json_object();
    for (int g = 0; g < GROUPS; g++) {
        json_t *figures = json_object();
        for (int m = 0; m < METRICS; m++) {
            const figure *f = &row->figures[m][g];
            json_object_set_new(figures, metric_names[m],
                                json_pack("{s:o, s:[o, o], s:o, s:o, s:[o, o], s:o, s:o}", "mean",
                                          number(f->mean), "mean_interval", number(f->mean_low),
                                          number(f->mean_high), "median", number(f->median),
                                          "difference", number(f->difference), "interval",
                                          number(f->low), number(f->high), "p", number(f->p),
                                          "lead_closed", number(f->share)));
        }
        json_object_set_new(scores, group_names[g], figures);
    }
    return json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:I, s:I, s:o}", "modalities", row->subset,
                     "arm", row->arm, "runs", (json_int_t)row->runs, "runs_planned",
                     (json_int_t)row->runs_planned, "seconds_a_run", number(row->seconds), "steps",
                     number(row->steps), "patients", (json_int_t)row->patients, "pairs",
                     (json_int_t)row->pairs, "scores", scores);
}

ts_status table_write_json(const table *whole, const char *path, ts_error *error)
{
    const study *s = whole->study;
    text t = {0};
    json_t *rows = json_array();
    for (size_t i = 0; i < whole->count; i++)
        json_array_append_new(rows, json_row(&whole->rows[i]));
    json_t *root =
        json_pack("{s:s, s:s, s:i, s:I, s:I, s:o}", "study", s->name, "reference",
                  s->arms[s->reference].name, "folds", s->folds, "cells", (json_int_t)s->cell_count,
                  "cells_done", (json_int_t)whole->cells_done, "rows", rows);
    char *content = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) : NULL;
    if (content)
        text_append(&t, "%s\n", content);
    t.failed = t.failed || !content;
    free(content);
    json_decref(root);
    return put(&t, path, error);
}

/* ---- the picture ----------------------------------------------------------------------------- */

ts_status table_draw(const table *whole, const char *path, ts_error *error)
{
    char title[160], axis[160];
    size_t count = 0;
    picture_group *groups =
        memory_allocate(whole->count, GROUPS * sizeof *groups, "the picture", error);
    if (!groups)
        return TS_MEMORY;
    for (size_t i = 0; i < whole->count; i++) {
        const table_row *row = &whole->rows[i];
        for (int g = 0; !row->is_teacher && row->pairs && g < GROUPS; g++) {
            const figure *f = &row->figures[0][g];
            picture_group *out = &groups[count++];
            *out = (picture_group){.values = row->differences + (size_t)g * row->pairs,
                                   .count = row->pairs,
                                   .mean = f->difference,
                                   .low = f->low,
                                   .high = f->high};
            snprintf(out->label, sizeof out->label, "%s %s %s", row->subset, row->arm,
                     group_names[g]);
        }
    }
    const char *reference = whole->study->arms[whole->study->reference].name;
    snprintf(title, sizeof title, "study %s: Dice by patient, minus that of %s", whole->study->name,
             reference);
    snprintf(axis, sizeof axis, "better than %s to the right; bar: mean and its 95 %% interval",
             reference);
    ts_status status = picture_differences(path, title, axis, groups, count, error);
    free(groups);
    return status;
}
