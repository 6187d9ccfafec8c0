/* From what each series is to the one that is taken of each modality. */
#include "series/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[MODALITIES] = {"T1", "T1CE", "T2", "FLAIR"};

/* ---- T1 before and after contrast agent ------------------------------------------------------- */

typedef struct {
    size_t given, before, unsaid, both;
    double first_s; /* when the first series with contrast agent was made; NAN: not known */
} contrasts;

static contrasts count_contrasts(const series_list *l)
{
    contrasts c = {.first_s = NAN};
    for (size_t i = 0; i < l->count; i++) {
        const series_item *s = &l->items[i];
        if (s->verdict.kind != T1)
            continue;
        c.given += s->verdict.contrast == CONTRAST_GIVEN;
        c.before += s->verdict.contrast == CONTRAST_BEFORE;
        c.unsaid += s->verdict.contrast == CONTRAST_UNSAID;
        c.both += s->verdict.contrast == CONTRAST_BOTH;
        if (s->verdict.contrast == CONTRAST_GIVEN && !(s->facts.time_s >= c.first_s))
            c.first_s = s->facts.time_s;
    }
    return c;
}

static void settle(series_verdict *v, int kind, const char *why)
{
    const size_t n = strlen(v->why);
    v->kind = kind;
    v->could_be = kind == SERIES_DOUBTFUL ? 1u << T1 | 1u << T1CE : 0;
    snprintf(v->why + n, sizeof v->why - n, "; %s", why);
}

/* A T1-weighted series of which neither name nor header says whether contrast agent was given. */
static void settle_unsaid(series_item *s, const contrasts *c)
{
    if (c->given && s->facts.time_s > c->first_s)
        settle(&s->verdict, T1CE, "made after the first one with contrast agent");
    else if (c->given && s->facts.time_s < c->first_s)
        settle(&s->verdict, T1, "made before the first one with contrast agent");
    else if (c->given && c->unsaid == 1 && !c->before)
        settle(&s->verdict, T1, "another one has contrast agent, this one says nothing");
    else if (!c->given && !c->before && c->unsaid == 1)
        settle(&s->verdict, T1, "nothing says that contrast agent was given");
    else
        settle(&s->verdict, SERIES_DOUBTFUL, "nothing says whether contrast agent was given");
}

static void settle_contrast(series_list *l)
{
    const contrasts c = count_contrasts(l);
    for (size_t i = 0; i < l->count; i++) {
        series_verdict *v = &l->items[i].verdict;
        if (v->kind != T1)
            continue;
        if (v->contrast == CONTRAST_GIVEN)
            settle(v, T1CE, "with contrast agent");
        else if (v->contrast == CONTRAST_BEFORE)
            settle(v, T1, "before contrast agent");
        else if (v->contrast == CONTRAST_BOTH && c.given)
            settle(v, T1, "before contrast agent by its name, which the header denies");
        else if (v->contrast == CONTRAST_BOTH)
            settle(v, SERIES_DOUBTFUL, "its name says before contrast agent, the header names one");
        else
            settle_unsaid(&l->items[i], &c);
    }
}

/* ---- the finest of a kind --------------------------------------------------------------------- */

static double longest_edge(const series_facts *f)
{
    return fmax(f->spacing_mm[0], fmax(f->spacing_mm[1], f->spacing_mm[2]));
}

static double voxel_mm3(const series_facts *f)
{
    return f->spacing_mm[0] * f->spacing_mm[1] * f->spacing_mm[2];
}

/* > 0: a is finer; 0: alike. */
static int compare_fineness(const series_facts *a, const series_facts *b)
{
    const double edge = longest_edge(b) - longest_edge(a), size = voxel_mm3(b) / voxel_mm3(a);
    if (fabs(edge) > 0.1)
        return edge > 0 ? 1 : -1;
    if (a->acquisition && b->acquisition && a->acquisition != b->acquisition)
        return a->acquisition > b->acquisition ? 1 : -1;
    if (size > 1.1 || size < 1 / 1.1)
        return size > 1 ? 1 : -1;
    return 0;
}

/* Of two that are alike: corrections of the scanner, then the later (the first was repeated). */
static int compare_alike(const series_facts *a, const series_facts *b)
{
    static const char *const corrections[] = {"DIS3D", "DIS2D", "NORM"};
    for (size_t i = 0; i < COUNT_OF(corrections); i++) {
        const bool has_a = strstr(a->image_type, corrections[i]);
        const bool has_b = strstr(b->image_type, corrections[i]);
        if (has_a != has_b)
            return has_a ? 1 : -1;
    }
    return a->time_s > b->time_s ? 1 : a->time_s < b->time_s ? -1 : 0;
}

/* The best of a kind that is alone in being so; -1 where there is none. Of two that nothing tells
 * apart both become doubtful. */
static int take_finest(series_list *l, modality m)
{
    int best = -1;
    bool tie = false;
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].verdict.kind != (int)m)
            continue;
        int order = best < 0 ? 1 : compare_fineness(&l->items[i].facts, &l->items[best].facts);
        if (order == 0)
            order = compare_alike(&l->items[i].facts, &l->items[best].facts);
        tie = order == 0 || (tie && order < 0);
        best = order > 0 ? (int)i : best;
    }
    if (!tie)
        return best;
    const series_facts top = l->items[best].facts;
    for (size_t i = 0; i < l->count; i++) {
        series_verdict *v = &l->items[i].verdict;
        if (v->kind != (int)m || compare_fineness(&l->items[i].facts, &top) ||
            compare_alike(&l->items[i].facts, &top))
            continue;
        v->kind = SERIES_DOUBTFUL;
        v->could_be = 1u << m;
        snprintf(v->why, sizeof v->why, "another %s is as fine", words[m]);
    }
    return -1;
}

/* The others of the kind say which one was preferred. */
static void say_others(series_list *l, modality m, int taken)
{
    for (size_t i = 0; taken >= 0 && i < l->count; i++) {
        series_verdict *v = &l->items[i].verdict;
        const size_t n = strlen(v->why);
        if (v->kind != (int)m || (int)i == taken)
            continue;
        const bool finer = compare_fineness(&l->items[taken].facts, &l->items[i].facts) > 0;
        snprintf(v->why + n, sizeof v->why - n, "; %s is %s", l->items[taken].label,
                 finer ? "finer" : "taken");
    }
}

/* ---- what the user says ----------------------------------------------------------------------- */

static ts_status find_given(const series_list *l, modality m, const char *label, int *chosen,
                            ts_error *error)
{
    text labels = {0};
    *chosen = -1;
    if (!strcmp(label, "none"))
        return TS_OK;
    for (size_t i = 0; i < l->count; i++) {
        if (!strcmp(l->items[i].label, label))
            *chosen = (int)i;
        text_append(&labels, "%s%s", i ? ", " : "", l->items[i].label);
    }
    ts_status status = TS_OK;
    if (*chosen < 0)
        status = error_set(error, TS_BAD_INPUT,
                           "--%s %s: there is no such series here; these are: %s, or 'none'",
                           modality_names[m], label, labels.data ? labels.data : "");
    else if (!l->items[*chosen].path)
        status = error_set(error, TS_BAD_INPUT, "--%s %s: series %s has no image: %s",
                           modality_names[m], label, label, l->items[*chosen].verdict.why);
    text_free(&labels);
    return status;
}

static ts_status check_twice(const series_list *l, const int chosen[MODALITIES], ts_error *error)
{
    for (int a = 0; a < MODALITIES; a++)
        for (int b = 0; b < a; b++)
            if (chosen[a] >= 0 && chosen[a] == chosen[b])
                return error_set(error, TS_BAD_INPUT, "series %s is taken for both %s and %s",
                                 l->items[chosen[a]].label, words[b], words[a]);
    return TS_OK;
}

/* ---- doubts ----------------------------------------------------------------------------------- */

static ts_status check_doubts(const series_list *l, const char *const given[MODALITIES],
                              const int chosen[MODALITIES], ts_error *error)
{
    text doubts = {0};
    modality_set open = 0;
    for (size_t i = 0; i < l->count; i++) {
        const series_item *s = &l->items[i];
        modality_set missing = 0;
        bool taken = false;
        for (int m = 0; m < MODALITIES; m++) {
            taken = taken || chosen[m] == (int)i;
            missing |= !given[m] && chosen[m] < 0 ? 1u << m : 0;
        }
        missing &= s->verdict.could_be;
        if (taken || s->verdict.kind != SERIES_DOUBTFUL || !missing)
            continue;
        text_append(&doubts, "%sseries %s, '%s': %s", doubts.length ? "; " : "", s->label,
                    s->facts.description, s->verdict.why);
        for (int m = 0, first = 1; m < MODALITIES; m++)
            if (missing >> m & 1) {
                text_append(&doubts, "%s--%s %s", first ? " (" : " or ", modality_names[m],
                            s->label);
                first = 0;
            }
        text_append(&doubts, ")");
        open |= missing;
    }
    if (!doubts.length && !doubts.failed)
        return TS_OK;
    text_append(&doubts, ". Say which it is, or leave a modality out:");
    for (int m = 0; m < MODALITIES; m++)
        if (open >> m & 1)
            text_append(&doubts, " --%s none", modality_names[m]);
    const ts_status status = doubts.failed
                                 ? error_set(error, TS_MEMORY, "out of memory")
                                 : error_set(error, TS_BAD_INPUT, "in doubt: %s", doubts.data);
    text_free(&doubts);
    return status;
}

/* What the user says is known before all else. */
static void take_given(series_item *s, modality m)
{
    s->verdict = (series_verdict){.kind = m == T1CE ? T1 : (int)m,
                                  .contrast = m == T1CE ? CONTRAST_GIVEN : CONTRAST_BEFORE};
    snprintf(s->verdict.why, sizeof s->verdict.why, "as given by --%s", modality_names[m]);
}

ts_status series_choose(series_list *l, const char *const given[MODALITIES], int chosen[MODALITIES],
                        ts_error *error)
{
    bool any = false;
    ts_status status = TS_OK;
    for (int m = 0; status == TS_OK && m < MODALITIES; m++) {
        chosen[m] = -1;
        if (given[m])
            status = find_given(l, (modality)m, given[m], &chosen[m], error);
    }
    if (status == TS_OK)
        status = check_twice(l, chosen, error);
    if (status != TS_OK)
        return status;
    for (int m = 0; m < MODALITIES; m++)
        if (chosen[m] >= 0)
            take_given(&l->items[chosen[m]], (modality)m);
    settle_contrast(l);
    for (int m = 0; m < MODALITIES; m++) {
        if (!given[m])
            chosen[m] = take_finest(l, (modality)m);
        say_others(l, (modality)m, chosen[m]);
        any = any || chosen[m] >= 0;
    }
    status = check_doubts(l, given, chosen, error);
    if (status == TS_OK && !any)
        status =
            error_set(error, TS_BAD_INPUT,
                      "none of %zu series is a T1, T1CE, T2 or FLAIR of a head: the table says "
                      "why; --t1ce SERIES takes one all the same",
                      l->count);
    return status;
}

/* ---- the table -------------------------------------------------------------------------------- */

static const char *kind_word(const series_list *l, size_t i, const int chosen[MODALITIES])
{
    for (int m = 0; m < MODALITIES; m++)
        if (chosen[m] == (int)i)
            return words[m];
    return l->items[i].verdict.kind == SERIES_DOUBTFUL ? "?" : "-";
}

void series_print(FILE *stream, const series_list *l, const int chosen[MODALITIES])
{
    for (size_t i = 0; i < l->count; i++) {
        const series_item *s = &l->items[i];
        const series_facts *f = &s->facts;
        char grid[80] = "no image";
        if (f->shape[0])
            snprintf(grid, sizeof grid, "%lldx%lldx%lld of %.2gx%.2gx%.2g mm",
                     (long long)f->shape[0], (long long)f->shape[1], (long long)f->shape[2],
                     f->spacing_mm[0], f->spacing_mm[1], f->spacing_mm[2]);
        print_line(stream, "%-5s %s%s%s%s, %s: %s", kind_word(l, i, chosen), s->label,
                   l->dicom ? " '" : "", l->dicom ? f->description : "", l->dicom ? "'" : "", grid,
                   s->verdict.why);
    }
}
