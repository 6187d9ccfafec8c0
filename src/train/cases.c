/* Choosing and preprocessing the cases of a run. */
#include "train/cases.h"

#include <stdlib.h>
#include <string.h>

static ts_status allocate_lists(run_cases *c, ts_error *error)
{
    const size_t n = c->data.count;
    c->split.train = memory_allocate(n, sizeof(char *), "the list of cases", error);
    c->split.held_out = memory_allocate(n, sizeof(char *), "the list of cases", error);
    c->split.skipped = memory_allocate(n, sizeof(char *), "the list of cases", error);
    c->used = memory_allocate(n, sizeof *c->used, "the list of cases", error);
    return c->split.train && c->split.held_out && c->split.skipped && c->used ? TS_OK : TS_MEMORY;
}

/* Says how many cases are skipped and why, with the first of each kind. */
static void note_skipped(const run_cases *c, modality_set needed)
{
    size_t unlabelled = 0, incomplete = 0;
    const dataset_case *first_unlabelled = NULL, *first_incomplete = NULL;
    char names[24];
    for (size_t i = c->data.count; i-- > 0;) {
        const dataset_case *d = &c->data.cases[i];
        if (needed & ~dataset_case_modalities(d)) {
            incomplete++;
            first_incomplete = d;
        } else if (!d->truth) {
            unlabelled++;
            first_unlabelled = d;
        }
    }
    if (unlabelled)
        note("%zu of %zu cases have no truth and are skipped (the first: %s)", unlabelled,
             c->data.count, first_unlabelled->id);
    if (incomplete)
        note("%zu of %zu cases lack a modality that the method needs and are skipped (the first: "
             "%s lacks %s)",
             incomplete, c->data.count, first_incomplete->id,
             modality_print(needed & ~dataset_case_modalities(first_incomplete), names));
}

static ts_status split_cases(run_cases *c, const plan *p, const train_options *o, ts_error *error)
{
    const modality_set needed = plan_needed_modalities(p);
    run_split *s = &c->split;
    bool *held_out = memory_allocate(c->data.count, sizeof *held_out, "the split", error);
    if (!held_out)
        return TS_MEMORY;
    s->fold = o->fold;
    s->folds = o->folds;
    dataset_split(&c->data, (uint64_t)p->seed, o->fold, o->folds, held_out);
    size_t used = 0;
    for (int pass = 0; pass < 2; pass++) /* training cases first */
        for (size_t i = 0; i < c->data.count; i++) {
            const dataset_case *d = &c->data.cases[i];
            const bool fit = d->truth && !(needed & ~dataset_case_modalities(d));
            if (!fit && pass == 0)
                s->skipped[s->skipped_count++] = d->id;
            if (!fit || held_out[i] != (pass == 1))
                continue;
            c->used[used++] = d;
            if (pass == 0)
                s->train[s->train_count++] = d->id;
            else
                s->held_out[s->held_out_count++] = d->id;
        }
    free(held_out);
    note_skipped(c, needed);
    char names[24];
    if (s->train_count == 0)
        return error_set(error, TS_BAD_INPUT,
                         "'%s': no case is left to train on: a case needs a truth and the "
                         "modalities %s ('twinseg check' lists what is there)",
                         c->data.path, modality_print(needed, names));
    return TS_OK;
}

ts_status run_cases_open(run_cases *c, const plan *p, const train_options *options, ts_error *error)
{
    *c = (run_cases){0};
    ts_status status = dataset_open(options->data, (label_map)p->labels, &c->data, error);
    if (status != TS_OK)
        return status;
    for (size_t i = 0; i < c->data.notes.count; i++)
        note("%s", c->data.notes.items[i]);
    for (size_t i = 0; i < c->data.count; i++)
        c->data.cases[i].whole_head = plan_any_image(p);
    status = allocate_lists(c, error);
    if (status == TS_OK)
        status = split_cases(c, p, options, error);
    if (status != TS_OK)
        run_cases_close(c);
    return status;
}

ts_status run_cases_preprocess(run_cases *c, const plan *p, const char *cache, pool *threads,
                               ts_error *error)
{
    const size_t count = c->split.train_count + c->split.held_out_count;
    c->preprocessed =
        memory_allocate(count, sizeof *c->preprocessed, "the preprocessed cases", error);
    ts_status status = c->preprocessed ? directory_create(cache, error) : TS_MEMORY;
    for (size_t i = 0; status == TS_OK && i < count; i++) {
        const dataset_case *d = c->used[i];
        if (interrupt_requested()) {
            status = error_set(
                error, TS_STOPPED,
                "stopped during preprocessing; the cases that are finished stay in the cache");
            break;
        }
        progress_show("preprocessing case %zu of %zu: %s", i + 1, count, d->id);
        status = preprocess_cached(d, dataset_case_modalities(d), p->spacing_mm, cache, threads,
                                   &c->preprocessed[i], error);
        c->preprocessed_count += status == TS_OK;
    }
    progress_end();
    return status;
}

void run_cases_close(run_cases *c)
{
    for (size_t i = 0; i < c->preprocessed_count; i++)
        preprocessed_free(&c->preprocessed[i]);
    free(c->preprocessed);
    free(c->used);
    free(c->split.train);
    free(c->split.held_out);
    free(c->split.skipped);
    dataset_close(&c->data);
    *c = (run_cases){0};
}
