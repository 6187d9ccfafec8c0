/* twinseg screen: does every image of a data set look like the modality that its name says? */
#include "cli/cli.h"
#include "likeness/likeness.h"

#include <stdlib.h>
#include <string.h>

extern const cli_command screen_command;

static const cli_option options[] = {
    {"rates", 0, NULL, "also try every wrong name on every case: how many are noticed"},
    {"threads", 0, "N", "threads (default: all processors)"},
    {0},
};

static const char *const settings_of_screen[] = {"spacing", "threads", NULL};

/* The looks of the cases that have all four modalities. */
typedef struct {
    likeness_features *features;
    const char **ids;
    size_t count;
} looks;

static ts_status measure_case(const dataset_case *c, const plan *p, pool *threads, looks *out,
                              ts_error *error)
{
    preprocessed ready;
    ts_status status =
        preprocess_case(c, ALL_MODALITIES, p->spacing_mm, BRAIN_OWN, false, threads, &ready, error);
    if (status != TS_OK)
        return status;
    status = likeness_measure(&ready, p->spacing_mm, &out->features[out->count], error);
    out->ids[out->count] = c->id;
    out->count += status == TS_OK;
    preprocessed_free(&ready);
    return status;
}

static ts_status measure(const dataset *d, const plan *p, looks *out, ts_error *error)
{
    pool *threads;
    out->features = memory_allocate(d->count, sizeof *out->features, "the cases' looks", error);
    out->ids = memory_allocate(d->count, sizeof *out->ids, "the cases' looks", error);
    if (!out->features || !out->ids)
        return TS_MEMORY;
    ts_status status =
        pool_create(p->threads ? (int)p->threads : processor_count(), &threads, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; status == TS_OK && i < d->count; i++) {
        const dataset_case *c = &d->cases[i];
        if (dataset_case_modalities(c) != ALL_MODALITIES) {
            note("case %s lacks a modality and is left out", c->id);
            continue;
        }
        progress_show("looking at case %zu of %zu: %s", i + 1, d->count, c->id);
        status = interrupt_requested() ? error_set(error, TS_STOPPED, "interrupted")
                                       : measure_case(c, p, threads, out, error);
    }
    progress_clear();
    pool_destroy(threads);
    return status;
}

/* One case against the others, of which room for all but one is there. */
static ts_status judge_case(const looks *k, size_t c, likeness_features *others,
                            string_list *sentences, ts_error *error)
{
    likeness l;
    likeness_verdict v;
    memcpy(others, k->features, c * sizeof *others);
    memcpy(others + c, k->features + c + 1, (k->count - c - 1) * sizeof *others);
    const ts_status status = likeness_fit(others, k->count - 1, &l, error);
    if (status != TS_OK)
        return status;
    likeness_judge(&l, &k->features[c], &v);
    return likeness_sentences(&l, &k->features[c], &v, k->ids[c], sentences, error);
}

/* Every case against the others; *unlike: how many have a sentence. */
static ts_status judge_all(const looks *k, int *unlike, ts_error *error)
{
    *unlike = 0;
    likeness_features *others =
        memory_allocate(k->count, sizeof *others, "the cases' looks", error);
    ts_status status = others ? TS_OK : TS_MEMORY;
    for (size_t c = 0; status == TS_OK && c < k->count; c++) {
        string_list sentences = {0};
        status = judge_case(k, c, others, &sentences, error);
        for (size_t i = 0; i < sentences.count; i++)
            print_line(stdout, "%s", sentences.items[i]);
        *unlike += sentences.count > 0;
        string_list_free(&sentences);
    }
    free(others);
    return status;
}

static void print_matrix(const char *corner, const likeness_rates *r,
                         const int64_t counts[MODALITIES][MODALITIES])
{
    printf("\n| %s | t1 | t1ce | t2 | flair |\n|---|---|---|---|---|\n", corner);
    for (int a = 0; a < MODALITIES; a++) {
        printf("| %s |", modality_names[a]);
        for (int b = 0; b < MODALITIES; b++)
            printf(a == b ? " (%lld) |" : " %lld |", (long long)counts[a][b]);
        printf("\n");
    }
    printf("\nof %lld cases each; in brackets: right names taken for wrong ones.\n",
           (long long)r->cases);
}

static void print_rates(const likeness_rates *r)
{
    likeness_rate all = {0};
    char names[24];
    printf("\n| given | right, yet warned of | wrong and noticed |\n|---|---|---|\n");
    for (unsigned s = 0; s < ALL_MODALITIES; s++) {
        const likeness_rate *one = &r->subsets[s];
        printf("| %s | %lld of %lld | %lld of %lld |\n", modality_print(one->given, names),
               (long long)one->alarms, (long long)one->cases, (long long)one->noticed,
               (long long)one->slips);
        all.alarms += one->alarms;
        all.cases += one->cases;
        all.noticed += one->noticed;
        all.slips += one->slips;
    }
    printf("| all | %lld of %lld (%.1f %%) | %lld of %lld (%.1f %%) |\n", (long long)all.alarms,
           (long long)all.cases, 100.0 * (double)all.alarms / (double)all.cases,
           (long long)all.noticed, (long long)all.slips,
           100.0 * (double)all.noticed / (double)all.slips);
    print_matrix("alone: image, given as", r, r->alone);
    print_matrix("two given, their names exchanged", r, r->swapped);
    printf("\nIntensities called unlike the others': %lld of %lld images.\n", (long long)r->strange,
           (long long)r->images);
}

static ts_status screen(const cli_arguments *a, const plan *p, const dataset *d, looks *k,
                        ts_error *error)
{
    likeness_rates rates;
    int unlike;
    ts_status status = measure(d, p, k, error);
    if (status != TS_OK)
        return status;
    if (k->count <= LIKENESS_CASES_MIN)
        return error_set(error, TS_BAD_INPUT,
                         "'%s': %zu cases with all four modalities are too few to compare with: "
                         "more than %d are needed",
                         a->positional[0], k->count, LIKENESS_CASES_MIN);
    if ((status = judge_all(k, &unlike, error)) != TS_OK)
        return status;
    printf("%d of %zu cases look unlike the others\n", unlike, k->count);
    if (!cli_flag(a, "rates"))
        return TS_OK;
    status = likeness_rate_slips(k->features, k->count, &rates, error);
    if (status == TS_OK)
        print_rates(&rates);
    return status;
}

static int run(const cli_arguments *a)
{
    plan p;
    ts_error e;
    dataset d;
    looks k = {0};
    const int bad = cli_plan(a, &p);
    if (bad)
        return bad;
    interrupt_install();
    if (dataset_open(a->positional[0], LABELS_AUTO, &d, &e) != TS_OK)
        return cli_fail(&e);
    const ts_status status = screen(a, &p, &d, &k, &e);
    free(k.features);
    free(k.ids);
    dataset_close(&d);
    return status == TS_OK ? 0 : cli_fail(&e);
}

const cli_command screen_command = {
    .name = "screen",
    .summary = "find images that do not look like the modality of their name",
    .usage = "DATA [--rates] [spacing=2]",
    .details =
        "Every case with all four modalities is compared with the others by simple figures of its\n"
        "images (quantiles, depth profile, fine structure) and of their pairs (docs/usage.md).\n"
        "The same figures of the training cases are kept in every model, and predict warns by "
        "them.",
    .options = options,
    .positional_min = 1,
    .positional_max = 1,
    .settings = true,
    .settings_only = settings_of_screen,
    .run = run,
};
