/* From score files to the rows of the table.
 *
 * A patient counts once: its scores are averaged over the seeds first, so that n is the number of
 * patients and not of runs. Rows are compared over the patients and seeds that both have. */
#include "study/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The scores of one case in one run. id is borrowed from the score files. */
typedef struct {
    const char *id;
    int64_t seed;
    double values[METRICS][GROUPS];
} observation;

/* The observations behind one row, sorted by case and seed. */
typedef struct {
    observation *items;
    size_t count, runs;
    double seconds, steps; /* of all runs together */
} series;

typedef struct {
    const study *study;
    cell_scores *scores; /* [cell]; count 0 where there are none */
} source;

/* ---- collecting ------------------------------------------------------------------------------ */

static observation observe(const case_scores *c, int64_t seed)
{
    observation o = {.id = c->id, .seed = seed};
    for (int r = 0; r < REGIONS; r++) {
        const double values[METRICS] = {c->legacy[r].dice, c->legacy[r].hd95,
                                        c->lesion[r].lesion_dice, c->lesion[r].lesion_hd95};
        for (int m = 0; m < METRICS; m++) {
            o.values[m][r] = values[m];
            o.values[m][REGIONS] += values[m] / REGIONS;
        }
    }
    return o;
}

static int compare_observations(const void *a, const void *b)
{
    const observation *x = a, *y = b;
    const int by_id = strcmp(x->id, y->id);
    return by_id ? by_id : (x->seed > y->seed) - (x->seed < y->seed);
}

/* The scores of the arm's models of that role and input. run: the modalities of the cells, which a
 * teacher beside a student does not share. */
static ts_status collect(const source *from, size_t arm, modality_set run, const char *role,
                         modality_set input, series *out, ts_error *error)
{
    const study *s = from->study;
    size_t most = 0;
    *out = (series){0};
    for (size_t i = 0; i < s->cell_count; i++)
        for (size_t m = 0; m < from->scores[i].count; m++)
            most += from->scores[i].models[m].count;
    out->items = memory_allocate(most, sizeof *out->items, "the scores of an arm", error);
    if (!out->items)
        return TS_MEMORY;
    for (size_t i = 0; i < s->cell_count; i++) {
        const cell_scores *scores = &from->scores[i];
        if (s->cells[i].arm != arm || s->cells[i].input != run)
            continue;
        for (size_t m = 0; m < scores->count; m++) {
            const model_scores *given = &scores->models[m];
            if (strcmp(given->role, role) || given->input != input)
                continue;
            for (size_t k = 0; k < given->count; k++)
                out->items[out->count++] = observe(&given->cases[k], s->cells[i].seed);
            out->runs++;
            out->seconds += scores->seconds;
            out->steps += (double)scores->steps;
        }
    }
    qsort(out->items, out->count, sizeof *out->items, compare_observations);
    return TS_OK;
}

/* Keeps of every series the observations of the cases and seeds that all of them have. */
static void keep_common(series *const *all, size_t count)
{
    size_t at[3] = {0}, kept = 0;
    for (;;) {
        const observation *greatest = NULL;
        bool equal = true;
        for (size_t k = 0; k < count; k++) {
            if (at[k] == all[k]->count) {
                for (size_t j = 0; j < count; j++)
                    all[j]->count = kept;
                return;
            }
            const observation *o = &all[k]->items[at[k]];
            if (!greatest || compare_observations(o, greatest) > 0)
                greatest = o;
        }
        for (size_t k = 0; k < count; k++)
            if (compare_observations(&all[k]->items[at[k]], greatest) < 0) {
                at[k]++;
                equal = false;
            }
        for (size_t k = 0; equal && k < count; k++)
            all[k]->items[kept] = all[k]->items[at[k]++];
        kept += equal;
    }
}

/* Values by patient, averaged over its seeds, less those of `minus` (NULL: nothing). values: room
 * for as many as there are observations. Returns the number of patients. */
static size_t by_patient(const series *s, const series *minus, int metric, int group,
                         double *values)
{
    size_t patients = 0;
    for (size_t i = 0, end; i < s->count; i = end) {
        double sum = 0;
        for (end = i; end < s->count && !strcmp(s->items[end].id, s->items[i].id); end++)
            sum += s->items[end].values[metric][group] -
                   (minus ? minus->items[end].values[metric][group] : 0);
        values[patients++] = sum / (double)(end - i);
    }
    return patients;
}

/* ---- figures --------------------------------------------------------------------------------- */

static double mean_of(const double *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return n ? sum / (double)n : NAN;
}

/* A copy whose items are its own. */
static ts_status copy_series(const series *s, series *out, ts_error *error)
{
    *out = *s;
    out->items = memory_allocate(s->count, sizeof *s->items, "the scores of an arm", error);
    if (!out->items)
        return TS_MEMORY;
    memcpy(out->items, s->items, s->count * sizeof *s->items);
    return TS_OK;
}

static ts_status describe(const series *s, double *scratch, table_row *row, ts_error *error)
{
    ts_status status = TS_OK;
    for (int m = 0; m < METRICS; m++)
        for (int g = 0; status == TS_OK && g < GROUPS; g++) {
            figure *f = &row->figures[m][g];
            *f = (figure){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
            row->patients = by_patient(s, NULL, m, g, scratch);
            f->mean = mean_of(scratch, row->patients);
            status = study_bootstrap(scratch, row->patients, &f->mean_low, &f->mean_high, error);
            f->median = median_of_doubles(scratch, row->patients);
        }
    return status;
}

/* Copies of several series, cut to the cases and seeds that all of them have. Release them with
 * free_series, also after an error. */
static ts_status copy_common(const series *const *from, series *copies, size_t count,
                             ts_error *error)
{
    series *all[3];
    for (size_t k = 0; k < count; k++) {
        const ts_status status = copy_series(from[k], &copies[k], error);
        if (status != TS_OK)
            return status;
        all[k] = &copies[k];
    }
    keep_common(all, count);
    return TS_OK;
}

static void free_series(series *s, size_t count)
{
    for (size_t k = 0; k < count; k++)
        free(s[k].items);
}

/* Differences of both series, already cut to what they share. */
static ts_status compare_common(const series *a, const series *b, double *scratch, table_row *row,
                                ts_error *error)
{
    row->differences = memory_allocate(a->count, GROUPS * sizeof(double), "differences", error);
    if (!row->differences)
        return TS_MEMORY;
    for (int m = 0; m < METRICS; m++)
        for (int g = 0; g < GROUPS; g++) {
            figure *f = &row->figures[m][g];
            row->pairs = by_patient(a, b, m, g, scratch);
            f->difference = mean_of(scratch, row->pairs);
            f->p = row->pairs ? study_wilcoxon(scratch, row->pairs) : NAN;
            if (m == 0)
                memcpy(row->differences + (size_t)g * row->pairs, scratch,
                       row->pairs * sizeof *scratch);
            const ts_status status = study_bootstrap(scratch, row->pairs, &f->low, &f->high, error);
            if (status != TS_OK)
                return status;
        }
    return TS_OK;
}

static ts_status compare(const series *s, const series *reference, double *scratch, table_row *row,
                         ts_error *error)
{
    series both[2] = {{0}, {0}};
    ts_status status = copy_common((const series *const[]){s, reference}, both, 2, error);
    if (status == TS_OK)
        status = compare_common(&both[0], &both[1], scratch, row, error);
    free_series(both, 2);
    return status;
}

/* a: the arm, b: the reference, t: the teacher, already cut to what they share. */
static ts_status share_common(const series *a, const series *b, const series *t, double *scratch,
                              table_row *row, ts_error *error)
{
    for (int m = 0; m < METRICS; m++)
        for (int g = 0; g < GROUPS; g++) {
            double low, high;
            const double gain = mean_of(scratch, by_patient(a, b, m, g, scratch));
            const size_t patients = by_patient(t, b, m, g, scratch);
            const double lead = mean_of(scratch, patients);
            const ts_status status = study_bootstrap(scratch, patients, &low, &high, error);
            if (status != TS_OK)
                return status;
            const bool leads = m % 2 ? high < 0 : low > 0; /* HD95 is better when smaller */
            row->figures[m][g].share = leads ? gain / lead : NAN;
        }
    return TS_OK;
}

/* The share of the teacher's lead over the reference that the arm closes, over the patients and
 * seeds of all three. Only where the interval of the lead excludes zero: otherwise it would be a
 * ratio of noise. */
static ts_status share_lead(const series *s, const series *reference, const series *teacher,
                            double *scratch, table_row *row, ts_error *error)
{
    series all[3] = {{0}, {0}, {0}};
    ts_status status = copy_common((const series *const[]){s, reference, teacher}, all, 3, error);
    if (status == TS_OK)
        status = share_common(&all[0], &all[1], &all[2], scratch, row, error);
    free_series(all, 3);
    return status;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* What a row is about: an arm's student or its teacher. */
typedef struct {
    size_t arm;
    bool teacher;
} subject;

static ts_status collect_subject(const source *from, subject who, const study_subset *subset,
                                 series *out, ts_error *error)
{
    const bool spans = study_spans_subsets(&from->study->arms[who.arm]);
    return collect(from, who.arm, spans ? ALL_MODALITIES : subset->set,
                   who.teacher ? "teacher" : "student", who.teacher ? ALL_MODALITIES : subset->set,
                   out, error);
}

/* Finds the teacher that an arm is compared with: its own, else that of method teacher, else the
 * first there is. */
static ts_status find_teacher(const source *from, size_t arm, const study_subset *subset,
                              subject *teacher, series *out, ts_error *error)
{
    const study *s = from->study;
    ts_status status = collect_subject(from, (subject){arm, true}, subset, out, error);
    *teacher = (subject){arm, true};
    for (int alone = 1; alone >= 0; alone--)
        for (size_t i = 0; status == TS_OK && !out->count && i < s->arm_count; i++) {
            if ((s->arms[i].plan.method == METHOD_TEACHER) != alone)
                continue;
            free(out->items);
            *teacher = (subject){i, true};
            status = collect_subject(from, *teacher, subset, out, error);
        }
    return status;
}

static size_t planned_runs(const study *s, size_t arm, const study_subset *subset)
{
    const bool spans = study_spans_subsets(&s->arms[arm]);
    size_t count = 0;
    for (size_t i = 0; i < s->cell_count; i++)
        count += s->cells[i].arm == arm && (spans || s->cells[i].input == subset->set);
    return count;
}

static void name_row(const study *s, subject who, table_row *row)
{
    const bool beside = who.teacher && s->arms[who.arm].plan.method != METHOD_TEACHER;
    snprintf(row->arm, sizeof row->arm, "%s%s", beside ? "teacher of " : "", s->arms[who.arm].name);
}

static ts_status describe_row(const study *s, subject who, const study_subset *subset,
                              const series *own, double *scratch, table_row *row, ts_error *error)
{
    name_row(s, who, row);
    row->subset = subset->name;
    row->is_teacher = who.teacher;
    row->is_reference = !who.teacher && who.arm == s->reference;
    row->runs = own->runs;
    row->runs_planned = planned_runs(s, who.arm, subset);
    row->seconds = own->runs ? own->seconds / (double)own->runs : NAN;
    row->steps = own->runs ? own->steps / (double)own->runs : NAN;
    return describe(own, scratch, row, error);
}

static ts_status make_row(const source *from, subject who, const study_subset *subset,
                          const series *reference, table_row *row, ts_error *error)
{
    series own = {0}, teacher = {0};
    subject measure;
    double *scratch = NULL;
    ts_status status = collect_subject(from, who, subset, &own, error);
    if (status != TS_OK)
        goto end;
    scratch = memory_allocate(own.count, sizeof *scratch, "the scores of an arm", error);
    status =
        scratch ? describe_row(from->study, who, subset, &own, scratch, row, error) : TS_MEMORY;
    if (status != TS_OK || row->is_reference)
        goto end;
    status = compare(&own, reference, scratch, row, error);
    if (status != TS_OK || who.teacher)
        goto end;
    status = find_teacher(from, who.arm, subset, &measure, &teacher, error);
    if (status == TS_OK && teacher.count)
        status = share_lead(&own, reference, &teacher, scratch, row, error);
end:
    free(own.items);
    free(teacher.items);
    free(scratch);
    return status;
}

/* The students of a subset in the order of the study file, then the teacher that they are compared
 * with. */
static ts_status make_rows(const source *from, const study_subset *subset, table *t,
                           ts_error *error)
{
    const study *s = from->study;
    series reference, teacher = {0};
    subject best = {0};
    ts_status status =
        collect_subject(from, (subject){s->reference, false}, subset, &reference, error);
    for (size_t arm = 0; status == TS_OK && arm < s->arm_count; arm++)
        if (s->arms[arm].plan.method != METHOD_TEACHER)
            status = make_row(from, (subject){arm, false}, subset, &reference, &t->rows[t->count++],
                              error);
    if (status != TS_OK)
        goto end;
    status = find_teacher(from, s->reference, subset, &best, &teacher, error);
    if (status == TS_OK && teacher.count)
        status = make_row(from, best, subset, &reference, &t->rows[t->count++], error);
end:
    free(reference.items);
    free(teacher.items);
    return status;
}

/* The score files that are there. */
static ts_status read_scores(const study *s, const char *folder, cell_scores *scores, size_t *done,
                             ts_error *error)
{
    *done = 0;
    for (size_t i = 0; i < s->cell_count; i++) {
        bool found;
        const ts_status status = scores_read(folder, s, &s->cells[i], &found, &scores[i], error);
        if (status != TS_OK)
            return status;
        *done += found;
    }
    return *done ? TS_OK
                 : error_set(error, TS_BAD_INPUT, "'%s' holds no score file of this study yet",
                             folder);
}

ts_status table_compute(const study *s, const char *scores, table *out, ts_error *error)
{
    source from = {.study = s};
    ts_status status = TS_MEMORY;
    *out = (table){.study = s};
    from.scores = memory_allocate(s->cell_count, sizeof *from.scores, "the scores", error);
    if (!from.scores)
        return TS_MEMORY;
    out->rows = memory_allocate(s->subset_count, (s->arm_count + 1) * sizeof *out->rows,
                                "the table", error);
    if (!out->rows)
        goto end;
    status = read_scores(s, scores, from.scores, &out->cells_done, error);
    for (size_t j = 0; status == TS_OK && j < s->subset_count; j++)
        status = make_rows(&from, &s->subsets[j], out, error);
end:
    for (size_t i = 0; i < s->cell_count; i++)
        cell_scores_free(&from.scores[i]);
    free(from.scores);
    if (status != TS_OK)
        table_free(out);
    return status;
}

void table_free(table *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->rows[i].differences);
    free(t->rows);
    *t = (table){0};
}

/* ---- files ----------------------------------------------------------------------------------- */

ts_status study_table(const study *s, const char *scores, size_t *done, ts_error *error)
{
    static const struct {
        const char *name;
        ts_status (*write)(const table *t, const char *path, ts_error *error);
    } files[] = {{"table.md", table_write_markdown},
                 {"table.csv", table_write_csv},
                 {"table.json", table_write_json},
                 {"differences.png", table_draw}};
    table t;
    ts_status status = table_compute(s, scores, &t, error);
    *done = status == TS_OK ? t.cells_done : 0;
    if (status != TS_OK)
        return status;
    for (size_t i = 0; status == TS_OK && i < COUNT_OF(files); i++) {
        char *path = path_join(scores, files[i].name, error);
        status = path ? files[i].write(&t, path, error) : TS_MEMORY;
        free(path);
    }
    table_free(&t);
    return status;
}
