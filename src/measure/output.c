/* Measures as a table and as JSON. Lengths in mm, volumes in ml, places in the world of the file
 * (NIfTI: x to the right, y to the front, z upwards). */
#include "measure/measure.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool measure_can_write(const char *path)
{
    return string_ends_nocase(path, ".csv") || string_ends_nocase(path, ".json");
}

/* ---- the table ------------------------------------------------------------------------------- */

static void append_volume(text *t, const char *id, const char *what, double ml)
{
    text_append_id(t, id);
    text_append(t, ",%s,%.10g,,,,,,,,,,,,,,\n", what, ml);
}

static void append_lesion(text *t, const char *id, size_t number, const measure_lesion *l)
{
    text_append_id(t, id);
    text_append(t, ",lesion %zu,%.10g,%.10g,%.10g,%.10g,%.10g,%.10g,%.10g", number, l->et_ml,
                l->core_ml, l->axial.mm, l->perpendicular.mm, l->product_mm2, l->longest.mm,
                l->enhancing_share);
    text_append(t, ",%lld,%lld,%.10g,%.10g,%.10g,%s,%s,%s\n", (long long)l->slice,
                (long long)l->slices, l->centre_mm[0], l->centre_mm[1], l->centre_mm[2],
                l->right ? "right" : "left", l->crosses_midline ? "yes" : "no",
                l->measurable ? "yes" : "no");
}

static void append_case(text *t, const char *id, const measures *m)
{
    for (int label = 1; label < LABELS; label++)
        append_volume(t, id, label_names[label], m->label_ml[label]);
    for (int r = 0; r < REGION_ET; r++) /* ET is a label too */
        append_volume(t, id, region_names[r], m->region_ml[r]);
    text_append_id(t, id);
    text_append(t, ",sum of products,,,,,%.10g,,,,,,,,,,\n", m->sum_of_products_mm2);
    for (size_t i = 0; i < m->count; i++)
        append_lesion(t, id, i + 1, &m->lesions[i]);
}

static ts_status write_csv(const char *path, const char *const *ids, const measures *all,
                           size_t count, ts_error *error)
{
    text t = {0};
    text_append(&t, "case,what,volume_ml,core_ml,diameter_mm,perpendicular_mm,product_mm2,"
                    "diameter_3d_mm,enhancing_share,slice,slices,centre_right_mm,centre_front_mm,"
                    "centre_up_mm,side,crosses_midline,measurable\n");
    for (size_t i = 0; i < count; i++)
        append_case(&t, ids[i], &all[i]);
    const ts_status status = t.failed ? error_set(error, TS_MEMORY, "out of memory for '%s'", path)
                                      : file_put(path, t.data, t.length, error);
    text_free(&t);
    return status;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *place_json(const double at[3])
{
    return json_pack("[f, f, f]", at[0], at[1], at[2]);
}

static json_t *segment_json(const measure_segment *s)
{
    return json_pack("{s:f, s:[o, o]}", "mm", s->mm, "ends", place_json(s->ends[0]),
                     place_json(s->ends[1]));
}

static json_t *lesion_json(size_t number, const measure_lesion *l)
{
    json_t *size = json_pack("{s:I, s:f, s:f, s:o, s:o, s:f, s:f, s:I, s:I, s:o}", "lesion",
                             (json_int_t)number, "et_ml", l->et_ml, "core_ml", l->core_ml, "axial",
                             segment_json(&l->axial), "perpendicular",
                             segment_json(&l->perpendicular), "product_mm2", l->product_mm2,
                             "enhancing_share", l->enhancing_share, "slice", (json_int_t)l->slice,
                             "slices", (json_int_t)l->slices, "longest", segment_json(&l->longest));
    json_t *rest =
        json_pack("{s:o, s:o, s:s, s:b, s:b}", "centre_mm", place_json(l->centre_mm),
                  "centre_voxel", place_json(l->centre_voxel), "side", l->right ? "right" : "left",
                  "crosses_midline", l->crosses_midline, "measurable", l->measurable);
    if (size && rest)
        json_object_update(size, rest);
    json_decref(rest);
    return size;
}

static json_t *case_json(const char *id, const measures *m)
{
    json_t *volumes = json_object(), *lesions = json_array();
    for (int label = 1; label < LABELS; label++)
        json_object_set_new(volumes, label_names[label], json_real(m->label_ml[label]));
    for (int r = 0; r < REGION_ET; r++)
        json_object_set_new(volumes, region_names[r], json_real(m->region_ml[r]));
    for (size_t i = 0; i < m->count; i++)
        json_array_append_new(lesions, lesion_json(i + 1, &m->lesions[i]));
    return json_pack("{s:s, s:o, s:f, s:i, s:f, s:f, s:s, s:o}", "case", id, "volumes_ml", volumes,
                     "sum_of_products_mm2", m->sum_of_products_mm2, "axial_axis", m->axial_axis,
                     "slice_mm", m->slice_mm, "midline_mm", m->midline_mm, "midline_of",
                     m->midline_of_brain ? "brain" : "grid", "lesions", lesions);
}

ts_status measure_json(const char *const *ids, const measures *all, size_t count, json_t **out,
                       ts_error *error)
{
    json_t *cases = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(cases, case_json(ids[i], &all[i]));
    *out = json_pack("{s:s, s:s, s:o}", "twinseg", ts_version(), "use", "research only", "cases",
                     cases);
    if (!*out || json_array_size(cases) != count) {
        json_decref(*out);
        *out = NULL;
        return error_set(error, TS_MEMORY, "out of memory for the measures");
    }
    return TS_OK;
}

ts_status measure_write(const char *path, const char *const *ids, const measures *all, size_t count,
                        ts_error *error)
{
    json_t *root;
    if (!string_ends_nocase(path, ".json"))
        return write_csv(path, ids, all, count, error);
    ts_status status = measure_json(ids, all, count, &root, error);
    if (status != TS_OK)
        return status;
    char *content = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(10));
    status = content ? file_put(path, content, strlen(content), error)
                     : error_set(error, TS_MEMORY, "out of memory for '%s'", path);
    free(content);
    json_decref(root);
    return status;
}
