/* A verdict in sentences, and a reference as JSON. */
#include "likeness/likeness.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static ts_status say(string_list *out, ts_error *error, const char *format, ...) PRINTF_LIKE(3, 4);

static ts_status say(string_list *out, ts_error *error, const char *format, ...)
{
    char sentence[400];
    va_list list;
    va_start(list, format);
    vsnprintf(sentence, sizeof sentence, format, list);
    va_end(list);
    return string_list_add(out, sentence, error);
}

static ts_status judge_modality(const likeness_verdict *v, int m, const char *id, string_list *out,
                                ts_error *error)
{
    ts_status status = TS_OK;
    if (v->looks_like[m] != m)
        status = say(out, error, "case %s: the image given as %s looks like a %s", id,
                     modality_names[m], modality_names[v->looks_like[m]]);
    if (status != TS_OK || !v->strange[m])
        return status;
    return say(out, error,
               "case %s: the intensities of the %s are unlike any that the model was trained on",
               id, modality_names[m]);
}

ts_status likeness_sentences(const likeness *l, const likeness_features *f,
                             const likeness_verdict *v, const char *id, string_list *out,
                             ts_error *error)
{
    ts_status status = TS_OK;
    for (int m = 0; m < MODALITIES; m++) {
        status = judge_modality(v, m, id, out, error);
        if (status != TS_OK)
            return status;
    }
    if (v->coarse)
        status = say(out, error,
                     "case %s: its voxels are up to %.2g mm wide, those of the training were up to "
                     "%.2g mm",
                     id, f->zoom_mm, l->zoom_mm);
    if (status != TS_OK || !(v->small || v->large))
        return status;
    return say(out, error,
               "case %s: %.0f ml are not 0, in the training %.0f to %.0f ml: is the image %s?", id,
               f->brain_ml, l->brain_ml[0], l->brain_ml[1],
               v->small ? "a part of a brain, or in other units than mm" : "skull-stripped");
}

/* ---- JSON --------------------------------------------------------------------------------- */

/* Everything but the counts as one array of numbers, in the order of the struct. */
enum {
    NUMBERS = MODALITIES * LIKENESS_SINGLE + LIKENESS_SINGLE * LIKENESS_SINGLE +
              MODALITIES * MODALITIES * LIKENESS_PAIR + LIKENESS_PAIR * LIKENESS_PAIR + 4
};

static double *number_at(likeness *l, int i)
{
    const struct {
        double *values;
        int count;
    } parts[] = {
        {l->mean[0], MODALITIES * LIKENESS_SINGLE},
        {l->precision[0], LIKENESS_SINGLE * LIKENESS_SINGLE},
        {l->pair_mean[0][0], MODALITIES * MODALITIES * LIKENESS_PAIR},
        {l->pair_precision[0], LIKENESS_PAIR * LIKENESS_PAIR},
        {&l->usual_distance, 1},
        {&l->zoom_mm, 1},
        {l->brain_ml, 2},
    };
    int part = 0;
    while (i >= parts[part].count)
        i -= parts[part++].count;
    return parts[part].values + i;
}

char *likeness_print(const likeness *l)
{
    likeness copy = *l;
    text t = {0};
    char known[24];
    text_append(&t, "{\"cases\":%lld,\"known\":\"%s\",\"numbers\":[", (long long)l->cases,
                modality_print(l->known, known));
    for (int i = 0; i < NUMBERS; i++)
        text_append(&t, "%s%.6g", i ? "," : "", *number_at(&copy, i));
    text_append(&t, "]}");
    if (!t.failed)
        return t.data;
    text_free(&t);
    return NULL;
}

ts_status likeness_parse(const char *json, const char *name, likeness *out, ts_error *error)
{
    json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, NULL), *numbers = NULL;
    json_int_t cases = 0;
    const char *known = NULL;
    *out = (likeness){0};
    bool good = root && json_unpack(root, "{s:I, s:s, s:o}", "cases", &cases, "known", &known,
                                    "numbers", &numbers) == 0;
    good = good && cases >= LIKENESS_CASES_MIN && json_array_size(numbers) == NUMBERS &&
           modality_parse(known, &out->known, NULL) == TS_OK;
    for (int i = 0; good && i < NUMBERS; i++) {
        const json_t *number = json_array_get(numbers, (size_t)i);
        good = json_is_number(number);
        *number_at(out, i) = json_number_value(number);
    }
    out->cases = (int64_t)cases;
    json_decref(root);
    if (good)
        return TS_OK;
    *out = (likeness){0};
    return error_set(error, TS_BAD_INPUT,
                     "'%s': what it says of its training images ('twinseg.likeness') is damaged",
                     name);
}
