/* How surely a wrong modality is noticed, by trying every slip with every case of a data set. */
#include "likeness/likeness.h"

#include <stdlib.h>
#include <string.h>

/* The case with its images under other names: what is given as m is the image of is[m]. */
static likeness_features renamed(const likeness_features *f, modality_set given,
                                 const int is[MODALITIES])
{
    likeness_features out = {.present = given, .zoom_mm = f->zoom_mm, .brain_ml = f->brain_ml};
    for (int a = 0; a < MODALITIES; a++) {
        memcpy(out.single[a], f->single[is[a]], sizeof out.single[a]);
        for (int b = 0; b < MODALITIES; b++)
            memcpy(out.pair[a][b], f->pair[is[a]][is[b]], sizeof out.pair[a][b]);
    }
    return out;
}

static bool noticed(const likeness *l, const likeness_features *f, modality_set given,
                    const int is[MODALITIES])
{
    likeness_verdict v;
    const likeness_features other = renamed(f, given, is);
    likeness_judge(l, &other, &v);
    return v.misnamed;
}

/* Every slip of one image: with one that is given too (once for both), or that is not. */
static void try_slips(const likeness *l, const likeness_features *f, likeness_rate *r)
{
    int is[MODALITIES] = {0, 1, 2, 3};
    r->cases++;
    r->alarms += noticed(l, f, r->given, is);
    for (int a = 0; a < MODALITIES; a++)
        for (int b = 0; b < MODALITIES; b++) {
            const bool both = r->given >> b & 1;
            if (!(r->given >> a & 1) || a == b || (both && b < a))
                continue;
            is[a] = b;
            is[b] = both ? a : b;
            r->slips++;
            r->noticed += noticed(l, f, r->given, is);
            is[a] = a;
            is[b] = b;
        }
}

static void try_case(const likeness *l, const likeness_features *f, likeness_rates *out)
{
    likeness_verdict v;
    likeness_judge(l, f, &v);
    out->cases++;
    for (unsigned s = 1; s <= ALL_MODALITIES; s++)
        try_slips(l, f, &out->subsets[s - 1]);
    for (int a = 0; a < MODALITIES; a++) {
        out->images++;
        out->strange += v.strange[a];
        for (int b = 0; b < MODALITIES; b++) {
            int is[MODALITIES] = {0, 1, 2, 3};
            is[b] = a;
            out->alone[a][b] += noticed(l, f, 1u << b, is);
            is[a] = b;
            out->swapped[a][b] += noticed(l, f, 1u << a | 1u << b, is);
        }
    }
}

ts_status likeness_rate_slips(const likeness_features *cases, size_t count, likeness_rates *out,
                              ts_error *error)
{
    memset(out, 0, sizeof *out);
    for (unsigned s = 1; s <= ALL_MODALITIES; s++)
        out->subsets[s - 1].given = s;
    if (count <= LIKENESS_CASES_MIN)
        return error_set(error, TS_BAD_INPUT, "%zu cases are too few: more than %d are needed",
                         count, LIKENESS_CASES_MIN);
    likeness_features *others = memory_allocate(count, sizeof *others, "the cases' looks", error);
    if (!others)
        return TS_MEMORY;
    ts_status status = TS_OK;
    for (size_t c = 0; status == TS_OK && c < count; c++) {
        likeness l;
        memcpy(others, cases, c * sizeof *others);
        memcpy(others + c, cases + c + 1, (count - c - 1) * sizeof *others);
        status = likeness_fit(others, count - 1, &l, error);
        if (status == TS_OK)
            try_case(&l, &cases[c], out);
    }
    free(others);
    return status;
}
