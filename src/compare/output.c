/* A comparison as a table and as JSON. */
#include "compare/compare.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *what, *unit;
    double before, after;
} change;

/* Volumes, then the sum of products. */
enum { CHANGES = LABELS - 1 + REGION_ET + 1 };

static void list_changes(const comparison *c, change out[CHANGES])
{
    const measures *a = &c->date[0], *b = &c->date[1];
    int n = 0;
    for (int label = 1; label < LABELS; label++)
        out[n++] = (change){label_names[label], "ml", a->label_ml[label], b->label_ml[label]};
    for (int r = 0; r < REGION_ET; r++) /* ET is a label too */
        out[n++] = (change){region_names[r], "ml", a->region_ml[r], b->region_ml[r]};
    out[n] = (change){"sum of products", "mm2", a->sum_of_products_mm2, b->sum_of_products_mm2};
}

/* ---- the table ------------------------------------------------------------------------------- */

static void append_change(text *t, const change *c, const char *state)
{
    const double percent = compare_percent(c->before, c->after);
    text_append(t, "%s,%s,%.10g,%.10g,%.10g,", c->what, c->unit, c->before, c->after,
                c->after - c->before);
    if (!isnan(percent))
        text_append(t, "%.10g", percent);
    text_append(t, ",%s\n", state);
}

static ts_status write_csv(const comparison *c, const char *path, ts_error *error)
{
    text t = {0};
    change all[CHANGES];
    list_changes(c, all);
    text_append(&t, "what,unit,before,after,change,change_percent,state\n");
    for (int i = 0; i < CHANGES; i++)
        append_change(&t, &all[i], "");
    for (size_t i = 0; i < c->count; i++) {
        const compare_group *g = &c->groups[i];
        char name[2][48];
        snprintf(name[0], sizeof name[0], "lesion %zu ET", i + 1);
        snprintf(name[1], sizeof name[1], "lesion %zu product", i + 1);
        append_change(&t, &(change){name[0], "ml", g->et_ml[0], g->et_ml[1]}, compare_state(g));
        append_change(&t, &(change){name[1], "mm2", g->product_mm2[0], g->product_mm2[1]},
                      compare_state(g));
    }
    const ts_status status = t.failed ? error_set(error, TS_MEMORY, "out of memory for '%s'", path)
                                      : file_put(path, t.data, t.length, error);
    text_free(&t);
    return status;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *change_json(double before, double after)
{
    const double percent = compare_percent(before, after);
    return json_pack("{s:f, s:f, s:f, s:o}", "before", before, "after", after, "change",
                     after - before, "change_percent",
                     isnan(percent) ? json_null() : json_real(percent));
}

/* The numbers that lesions of a date have in `measure`. */
static json_t *members_json(const comparison *c, int date, size_t group)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->date[date].count; i++)
        if (c->group_of[date][i] == group)
            json_array_append_new(list, json_integer((json_int_t)i + 1));
    return list;
}

static json_t *group_json(const comparison *c, size_t index)
{
    const compare_group *g = &c->groups[index];
    return json_pack(
        "{s:I, s:s, s:o, s:o, s:o, s:o, s:[f, f, f], s:s}", "lesion", (json_int_t)index + 1,
        "state", compare_state(g), "before", members_json(c, 0, index), "after",
        members_json(c, 1, index), "et_ml", change_json(g->et_ml[0], g->et_ml[1]), "product_mm2",
        change_json(g->product_mm2[0], g->product_mm2[1]), "centre_mm", g->centre_mm[0],
        g->centre_mm[1], g->centre_mm[2], "side", g->right ? "right" : "left");
}

static json_t *registration_json(const comparison *c)
{
    json_t *rows = json_array();
    for (int i = 0; i < 4; i++)
        json_array_append_new(rows, json_pack("[f, f, f, f]", c->found.transform[i][0],
                                              c->found.transform[i][1], c->found.transform[i][2],
                                              c->found.transform[i][3]));
    return json_pack("{s:s, s:s, s:o, s:f, s:f, s:f, s:f, s:f}", "before",
                     modality_names[c->contrast[0]], "after", modality_names[c->contrast[1]],
                     "transform", rows, "angle_degrees", c->found.angle_degrees, "shift_mm",
                     c->found.shift_mm, "nmi", c->found.after.nmi, "correlation",
                     c->found.after.ncc, "disagreement_mm", c->found.disagreement_mm);
}

static ts_status write_json(const comparison *c, const char *path, ts_error *error)
{
    json_t *volumes = json_object(), *lesions = json_array();
    change all[CHANGES];
    list_changes(c, all);
    for (int i = 0; i < CHANGES - 1; i++)
        json_object_set_new(volumes, all[i].what, change_json(all[i].before, all[i].after));
    for (size_t i = 0; i < c->count; i++)
        json_array_append_new(lesions, group_json(c, i));
    const change *sum = &all[CHANGES - 1];
    json_t *root = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "twinseg", ts_version(), "use",
                             "research only", "volumes_ml", volumes, "sum_of_products_mm2",
                             change_json(sum->before, sum->after), "lesions", lesions,
                             "registration", registration_json(c));
    char *content = root ? json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(10)) : NULL;
    const ts_status status = content ? file_put(path, content, strlen(content), error)
                                     : error_set(error, TS_MEMORY, "out of memory for '%s'", path);
    free(content);
    json_decref(root);
    return status;
}

ts_status compare_write(const comparison *c, const char *folder, ts_error *error)
{
    char *csv = path_join(folder, "compare.csv", error);
    char *json = csv ? path_join(folder, "compare.json", error) : NULL;
    ts_status status = json ? write_csv(c, csv, error) : TS_MEMORY;
    if (status == TS_OK)
        status = write_json(c, json, error);
    free(csv);
    free(json);
    return status;
}
