/* JSON beside an image: what dcm2niix and BIDS say of its acquisition. */
#include "series/series.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static void append_word(char *out, size_t size, const char *word)
{
    const size_t n = strlen(out);
    if (word && *word)
        snprintf(out + n, size - n, "%s%s", n ? "\\" : "", word);
}

/* A string, or the strings of an array. */
static void append_value(char *out, size_t size, const json_t *value)
{
    size_t i;
    const json_t *item;
    append_word(out, size, json_string_value(value));
    json_array_foreach(value, i, item) append_word(out, size, json_string_value(item));
}

static double ms_of(const json_t *root, const char *key, double otherwise)
{
    const json_t *value = json_object_get(root, key);
    return json_is_number(value) ? 1000 * json_number_value(value) : otherwise;
}

/* "14:02:11.5" or "140211.5" in seconds. */
static double time_of(const char *s)
{
    int h, m;
    double seconds;
    if (s && (sscanf(s, "%2d:%2d:%lf", &h, &m, &seconds) == 3 ||
              sscanf(s, "%2d%2d%lf", &h, &m, &seconds) == 3))
        return 3600.0 * h + 60.0 * m + seconds;
    return NAN;
}

static void take(const json_t *root, series_facts *f)
{
    static const char *const sequences[] = {"ScanningSequence", "SequenceVariant", "SequenceName",
                                            "PulseSequenceName", "ScanOptions"};
    for (size_t i = 0; i < COUNT_OF(sequences); i++)
        append_value(f->sequence, sizeof f->sequence, json_object_get(root, sequences[i]));
    append_value(f->description, sizeof f->description, json_object_get(root, "SeriesDescription"));
    if (!f->description[0])
        append_value(f->description, sizeof f->description, json_object_get(root, "ProtocolName"));
    append_value(f->image_type, sizeof f->image_type, json_object_get(root, "ImageType"));
    append_value(f->modality, sizeof f->modality, json_object_get(root, "Modality"));
    append_value(f->body_part, sizeof f->body_part, json_object_get(root, "BodyPartExamined"));
    append_value(f->agent, sizeof f->agent, json_object_get(root, "ContrastBolusIngredient"));
    append_value(f->agent, sizeof f->agent, json_object_get(root, "ContrastBolusAgent"));
    f->echo_ms = ms_of(root, "EchoTime", f->echo_ms);
    f->repetition_ms = ms_of(root, "RepetitionTime", f->repetition_ms);
    f->inversion_ms = ms_of(root, "InversionTime", f->inversion_ms);
    const json_t *flip = json_object_get(root, "FlipAngle");
    f->flip_degrees = json_is_number(flip) ? json_number_value(flip) : f->flip_degrees;
    const char *dimensions = json_string_value(json_object_get(root, "MRAcquisitionType"));
    if (dimensions && (*dimensions == '2' || *dimensions == '3'))
        f->acquisition = *dimensions - '0';
    f->time_s = time_of(json_string_value(json_object_get(root, "AcquisitionTime")));
    f->diffusion = f->diffusion || json_object_get(root, "DiffusionScheme");
}

ts_status series_read_sidecar(const char *path, series_facts *f, ts_error *error)
{
    enum { SIDECAR_BYTES_MAX = 1 << 22 };
    json_t *root;
    const ts_status status = json_read(path, SIDECAR_BYTES_MAX, &root, error);
    if (status != TS_OK)
        return status;
    take(root, f);
    json_decref(root);
    return TS_OK;
}
