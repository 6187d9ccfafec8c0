/* Every problem of a data set by reading every file: cases in parallel, findings printed in the
 * order of the cases, a summary at the end. */
#include "dataset/layout.h"
#include "dataset/load.h"
#include "dataset/twins.h"
#include "voxels/voxels.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

/* What one case leaves behind once its voxels are gone. */
typedef struct {
    const dataset *data;
    size_t index;
    text lines;
    size_t problems, warnings, notes;
    bool read; /* its grid is known */
    int64_t shape[3];
    double zooms[3];
    uint32_t print[MODALITIES]; /* checksum of an image's voxels; 0: not read */
    thumbnails thumbnails;
    bool truth, has3, has4, tumour;
    bool mapped; /* its label values could be read */
} case_findings;

static void add_line(case_findings *r, finding kind, const char *sentence)
{
    static const char *const kinds[] = {"problem", "warning", "note"};
    size_t *const counts[] = {&r->problems, &r->warnings, &r->notes};
    ++*counts[kind];
    text_append(&r->lines, "%s: case ", kinds[kind]);
    text_append_escaped(&r->lines, r->data->cases[r->index].id);
    text_append(&r->lines, ": ");
    text_append_escaped(&r->lines, sentence);
    text_append(&r->lines, "\n");
}

static void take_finding(void *context, finding kind, ts_status status, const char *sentence)
{
    (void)status;
    add_line(context, kind, sentence);
}

/* One image under two names is how four modalities are made of three. */
static void find_twins_within(case_findings *r, const case_data *d)
{
    for (int a = 0; a < MODALITIES; a++)
        for (int b = a + 1; b < MODALITIES; b++)
            if (d->image[a].bytes && d->image[b].bytes && r->print[a] == r->print[b] &&
                d->facts[a].nonzero == d->facts[b].nonzero && d->facts[a].nonzero) {
                char line[512];
                snprintf(line, sizeof line,
                         "its %s and %s are the same image, voxel by voxel: one of "
                         "them is mislabelled",
                         modality_names[a], modality_names[b]);
                add_line(r, FINDING_WARNING, line);
            }
}

/* The same for the same values, however the file stores them. */
static uint32_t image_print(const volume_voxels *image, int64_t voxels)
{
    float some[4096];
    uint32_t crc = 0;
    for (int64_t at = 0; at < voxels; at += (int64_t)COUNT_OF(some)) {
        const int64_t left = voxels - at, full = (int64_t)COUNT_OF(some);
        const int64_t count = left < full ? left : full;
        volume_values(image, at, 1, count, some);
        crc = libdeflate_crc32(crc, some, (size_t)count * sizeof *some);
    }
    return crc;
}

static void keep_facts(case_findings *r, const case_data *d)
{
    const int64_t voxels = voxel_count(d->header.shape);
    for (int i = 0; i < 3; i++) {
        r->shape[i] = d->header.shape[i];
        r->zooms[i] = d->header.zooms[i];
    }
    for (int m = 0; m < MODALITIES; m++)
        if (d->image[m].bytes) {
            r->read = true;
            r->print[m] = image_print(&d->image[m], voxels);
        }
    find_twins_within(r, d);
    r->truth = d->truth != NULL && r->read; /* judged beside an image alone */
    r->mapped = d->mapped;
    r->has3 = d->values[3];
    r->has4 = d->values[4];
    for (int v = 1; v < 256; v++)
        r->tumour |= d->values[v];
    if (r->truth && !r->tumour)
        add_line(r, FINDING_WARNING, "its truth is background everywhere");
}

static void check_case(void *context, int64_t index, int thread)
{
    (void)thread;
    case_findings *r = (case_findings *)context + index;
    const dataset_case *c = &r->data->cases[r->index];
    case_data d;
    case_load(c, ALL_MODALITIES, true, NULL, &d, take_finding, r);
    keep_facts(r, &d);
    thumbnails_make(&d, &r->thumbnails);
    case_data_free(&d);
}

/* What the data set has somewhere and a case lacks, and what it is good for all the same. */
static void check_completeness(const dataset *d, case_findings *findings)
{
    modality_set anywhere = 0;
    bool truths = false;
    char names[24], lacks[24];
    for (size_t i = 0; i < d->count; i++) {
        anywhere |= dataset_case_modalities(&d->cases[i]);
        truths |= d->cases[i].truth != NULL;
    }
    for (size_t i = 0; i < d->count; i++) {
        char line[256];
        const modality_set present = dataset_case_modalities(&d->cases[i]);
        const modality_set lacking = anywhere & ~present;
        snprintf(line, sizeof line, "lacks %s: it trains students of %s%s, but no teacher",
                 modality_print(lacking, lacks), modality_print(present, names),
                 modality_count(present) > 1 ? " or fewer" : "");
        if (lacking)
            add_line(&findings[i], FINDING_NOTE, line);
        if (truths && !d->cases[i].truth)
            add_line(&findings[i], FINDING_WARNING, "has no truth: it is not trained on");
    }
}

/* ---- one patient twice -------------------------------------------------------------------- */

typedef struct {
    uint32_t print;
    size_t index;
    int modality;
} fingerprint;

static int compare_prints(const void *a, const void *b)
{
    const fingerprint *f = a, *g = b;
    if (f->print != g->print)
        return f->print < g->print ? -1 : 1;
    return f->index < g->index ? -1 : f->index > g->index;
}

/* Public copies hold the same patient under several years' names; in training and in the held-out
 * cases at once, it flatters the score. */
static ts_status find_twins(const dataset *d, const case_findings *findings, FILE *out,
                            size_t *warnings, ts_error *error)
{
    fingerprint *prints =
        memory_allocate(d->count, MODALITIES * sizeof *prints, "checksums", error);
    size_t count = 0;
    if (!prints)
        return TS_MEMORY;
    for (size_t i = 0; i < d->count; i++)
        for (int m = 0; m < MODALITIES; m++)
            if (findings[i].print[m])
                prints[count++] = (fingerprint){findings[i].print[m], i, m};
    qsort(prints, count, sizeof *prints, compare_prints);
    for (size_t k = 1; k < count; k++) {
        const fingerprint *a = &prints[k - 1], *b = &prints[k];
        const bool same =
            a->print == b->print && a->index != b->index &&
            !memcmp(findings[a->index].shape, findings[b->index].shape, sizeof findings->shape);
        if (!same)
            continue;
        ++*warnings;
        print_line(out,
                   "warning: case %s: its %s is that of case %s, voxel by voxel: one patient twice "
                   "spoils held-out scores; remove one",
                   d->cases[b->index].id, modality_names[b->modality], d->cases[a->index].id);
    }
    free(prints);
    return TS_OK;
}

static bool share_a_print(const case_findings *a, const case_findings *b)
{
    for (int m = 0; m < MODALITIES; m++)
        if (a->print[m] && a->print[m] == b->print[m])
            return true;
    return false;
}

/* Names copies at another voxel size or with other rounding, which no checksum finds; but not visits
 * of one patient, whom folds keep together. */
static ts_status find_likely_twins(const dataset *d, const case_findings *findings, pool *p,
                                   FILE *out, size_t *warnings, ts_error *error)
{
    size_t count = 0;
    twin_pair *pairs = NULL;
    thumbnails *all = memory_allocate(d->count, sizeof *all, "the comparison of cases", error);
    if (!all)
        return TS_MEMORY;
    for (size_t i = 0; i < d->count; i++)
        all[i] = findings[i].thumbnails;
    const ts_status status = twins_find(all, d->count, p, &pairs, &count, error);
    for (size_t i = 0; status == TS_OK && i < count; i++) {
        const dataset_case *a = &d->cases[pairs[i].a], *b = &d->cases[pairs[i].b];
        const bool visits = dataset_same_patient(a->id, b->id) && strcmp(a->id, b->id) != 0;
        if (visits || share_a_print(&findings[pairs[i].a], &findings[pairs[i].b]))
            continue;
        ++*warnings;
        print_line(out,
                   "warning: case %s ('%s'): its %s looks like that of case %s ('%s'), correlation "
                   "%.3f at low resolution: most likely one patient twice, which spoils held-out "
                   "scores; remove one",
                   b->id, d->folders[b->folder].path, modality_names[pairs[i].modality], a->id,
                   d->folders[a->folder].path, pairs[i].correlation);
    }
    free(pairs);
    free(all);
    return status;
}

/* An id in two folders, at which every other command stops. */
static void find_repeated_ids(const dataset *d, FILE *out, size_t *problems)
{
    for (size_t i = 1; i < d->count; i++) {
        const dataset_case *a = &d->cases[i - 1], *b = &d->cases[i];
        if (strcmp(a->id, b->id) != 0)
            continue;
        ++*problems;
        print_line(out,
                   "problem: case %s stands in '%s' and in '%s': leave one out, or rename it if it "
                   "is another patient",
                   a->id, d->folders[a->folder].path, d->folders[b->folder].path);
    }
}

/* ---- summary ------------------------------------------------------------------------------ */

static void print_counts(const dataset *d, FILE *out)
{
    size_t truths = 0, complete = 0, having[MODALITIES] = {0};
    for (size_t i = 0; i < d->count; i++) {
        const modality_set set = dataset_case_modalities(&d->cases[i]);
        truths += d->cases[i].truth != NULL;
        complete += set == ALL_MODALITIES;
        for (int m = 0; m < MODALITIES; m++)
            having[m] += set >> m & 1;
    }
    for (size_t i = 0; i < d->folder_count; i++) {
        const dataset_folder *f = &d->folders[i];
        size_t cases = 0;
        for (size_t k = 0; k < d->count; k++)
            cases += d->cases[k].folder == i;
        if (d->folder_count == 1)
            print_line(out, "layout      %s", f->layout);
        else
            print_line(out, "%s%s: %s, %zu cases", i ? "            " : "folders     ", f->path,
                       f->layout, cases);
    }
    fprintf(out, "cases       %zu: %zu with truth, %zu with all four modalities\n", d->count,
            truths, complete);
    fprintf(out, "modalities  t1 %zu, t1ce %zu, t2 %zu, flair %zu\n", having[T1], having[T1CE],
            having[T2], having[FLAIR]);
}

/* What the cases are good for, by the modalities that they have. */
static void print_uses(const dataset *d, FILE *out)
{
    size_t counts[ALL_MODALITIES + 1] = {0}, unlabelled = 0;
    const char *lead = "trains      ";
    char names[24];
    for (size_t i = 0; i < d->count; i++)
        if (d->cases[i].truth)
            counts[dataset_case_modalities(&d->cases[i])]++;
        else
            unlabelled++;
    for (modality_set set = ALL_MODALITIES; set > 0; set--) {
        if (!counts[set])
            continue;
        if (set == ALL_MODALITIES)
            fprintf(out, "%s%zu case%s: every student and the teacher\n", lead, counts[set],
                    counts[set] == 1 ? "" : "s");
        else
            fprintf(out, "%s%zu case%s: students of %s%s, without the teacher's part\n", lead,
                    counts[set], counts[set] == 1 ? "" : "s", modality_print(set, names),
                    modality_count(set) > 1 ? " or fewer" : "");
        lead = "            ";
    }
    if (unlabelled)
        fprintf(out, "%s%zu case%s: nothing, for want of a truth\n", lead, unlabelled,
                unlabelled == 1 ? "" : "s");
}

static void print_labels(const dataset *d, const case_findings *findings, FILE *out)
{
    static const char *const styles[] = {
        "1 NCR, 2 ED, 4 ET",       "1 NCR, 2 ED, 3 ET",   "1 NCR, 2 ED, 3 ET, 4 cavity",
        "1 ED, 2 NCR, 3 ET",       "no enhancing tumour", "no tumour",
        "1 ET, 2 NET, 3 CC, 4 ED",
    };
    size_t counts[COUNT_OF(styles)] = {0};
    for (size_t i = 0; i < d->count; i++) {
        const case_findings *r = &findings[i];
        const label_map map = d->cases[i].labels;
        if (r->truth && r->mapped)
            counts[!r->tumour                ? 5
                   : map == LABELS_MSD       ? 3
                   : map == LABELS_PED       ? 6
                   : map == LABELS_PED_AUTO  ? 6
                   : map == LABELS_BRATS2024 ? 2
                   : r->has4                 ? 0
                   : r->has3                 ? 1
                                             : 4]++;
    }
    const char *between = "labels      ";
    for (size_t i = 0; i < COUNT_OF(styles); i++)
        if (counts[i]) {
            fprintf(out, "%s%s: %zu", between, styles[i], counts[i]);
            between = "; ";
        }
    if (between[0] == ';')
        fputc('\n', out);
}

static bool same_grid(const case_findings *a, const case_findings *b)
{
    for (int i = 0; i < 3; i++)
        if (a->shape[i] != b->shape[i] || a->zooms[i] - b->zooms[i] > 1e-3 ||
            b->zooms[i] - a->zooms[i] > 1e-3)
            return false;
    return true;
}

/* Every different grid with its number of cases; of many, the first ones met. */
static void print_grids(const dataset *d, const case_findings *findings, FILE *out)
{
    enum { SHOWN = 8 };
    const case_findings *grids[SHOWN];
    size_t counts[SHOWN] = {0}, shown = 0, others = 0;
    for (size_t i = 0; i < d->count; i++) {
        size_t k = 0;
        if (!findings[i].read)
            continue;
        while (k < shown && !same_grid(grids[k], &findings[i]))
            k++;
        if (k == SHOWN) {
            others++;
            continue;
        }
        if (k == shown)
            grids[shown++] = &findings[i];
        counts[k]++;
    }
    for (size_t k = 0; k < shown; k++)
        fprintf(out, "%s%lldx%lldx%lld at %.4gx%.4gx%.4g mm: %zu\n",
                k ? "            " : "grids       ", (long long)grids[k]->shape[0],
                (long long)grids[k]->shape[1], (long long)grids[k]->shape[2], grids[k]->zooms[0],
                grids[k]->zooms[1], grids[k]->zooms[2], counts[k]);
    if (others)
        fprintf(out, "            others: %zu\n", others);
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Reads all cases, some at a time, and prints each one's findings as its turn comes. */
static ts_status check_cases(const dataset *d, pool *p, case_findings *findings, FILE *out,
                             ts_error *error)
{
    const size_t step = 2 * (size_t)pool_threads(p);
    for (size_t first = 0; first < d->count; first += step) {
        const size_t count = d->count - first < step ? d->count - first : step;
        if (interrupt_requested()) {
            progress_end();
            return error_set(error, TS_STOPPED, "stopped after %zu of %zu cases", first, d->count);
        }
        progress_show("checking case %zu of %zu", first + 1, d->count);
        pool_run(p, check_case, findings + first, (int64_t)count);
        for (size_t i = first; i < first + count; i++) {
            if (findings[i].lines.failed)
                return error_set(error, TS_MEMORY, "out of memory while checking '%s'", d->path);
            if (findings[i].lines.length)
                fputs(findings[i].lines.data, out);
            text_free(&findings[i].lines);
        }
    }
    progress_end();
    return TS_OK;
}

ts_status dataset_check(const dataset *d, pool *p, FILE *out, size_t *problems, ts_error *error)
{
    size_t warnings = 0, notes = d->notes.count;
    *problems = 0;
    case_findings *findings =
        memory_allocate(d->count, sizeof *findings, "the cases' findings", error);
    if (!findings)
        return TS_MEMORY;
    for (size_t i = 0; i < d->notes.count; i++)
        print_line(out, "note: %s", d->notes.items[i]);
    for (size_t i = 0; i < d->count; i++)
        findings[i] = (case_findings){.data = d, .index = i};
    check_completeness(d, findings);
    ts_status status = check_cases(d, p, findings, out, error);
    if (status == TS_OK)
        status = find_twins(d, findings, out, &warnings, error);
    if (status == TS_OK)
        status = find_likely_twins(d, findings, p, out, &warnings, error);
    find_repeated_ids(d, out, problems);
    for (size_t i = 0; i < d->count; i++) {
        *problems += findings[i].problems;
        warnings += findings[i].warnings;
        notes += findings[i].notes;
        text_free(&findings[i].lines);
        thumbnails_free(&findings[i].thumbnails);
    }
    if (status == TS_OK) {
        print_counts(d, out);
        print_uses(d, out);
        print_labels(d, findings, out);
        print_grids(d, findings, out);
        fprintf(out, "findings    %zu problems, %zu warnings, %zu notes\n", *problems, warnings,
                notes);
    }
    free(findings);
    return status;
}
