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
    c->split.student_alone = memory_allocate(n, sizeof(char *), "the list of cases", error);
    c->used = memory_allocate(n, sizeof *c->used, "the list of cases", error);
    return c->split.train && c->split.held_out && c->split.skipped && c->split.student_alone &&
                   c->used
               ? TS_OK
               : TS_MEMORY;
}

/* What a case trains; nothing where partial_share leaves those that lack modalities no step. */
static case_use training_use(const plan *p, const dataset_case *c)
{
    const modality_set present = dataset_case_modalities(c);
    const bool left_out = p->partial_share == 0 && present != ALL_MODALITIES;
    return c->truth && !left_out ? plan_case_use(p, present) : TRAINS_NOTHING;
}

/* Says how many cases are skipped and why, with the first of each kind. */
static void note_skipped(const run_cases *c, const plan *p)
{
    size_t unlabelled = 0, incomplete = 0;
    const modality_set needed = p->method == METHOD_TEACHER ? ALL_MODALITIES : p->student;
    const dataset_case *first_unlabelled = NULL, *first_incomplete = NULL;
    char names[24];
    for (size_t i = c->data.count; i-- > 0;) {
        const dataset_case *d = &c->data.cases[i];
        const modality_set present = dataset_case_modalities(d);
        if (plan_case_use(p, present) == TRAINS_NOTHING) {
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
/* Says what is missing where no case is left for a network. */
static ts_status refuse_cases(const run_cases *c, const plan *p, bool teacher, ts_error *error)
{
    char names[24];
    size_t unlabelled = 0, lacking[MODALITIES] = {0};
    for (size_t i = 0; i < c->data.count; i++) {
        const modality_set present = dataset_case_modalities(&c->data.cases[i]);
        unlabelled += !c->data.cases[i].truth;
        for (int m = 0; m < MODALITIES; m++)
            lacking[m] += !(present >> m & 1);
    }
    const bool any = plan_any_subset(p) || plan_any_image(p);
    const modality_set needed = teacher ? ALL_MODALITIES : any ? 0 : p->student;
    return error_set(
        error, TS_BAD_INPUT,
        "'%s': no case is left to train %son: it takes a truth and %s%s; of %zu cases %zu have no "
        "truth, %zu lack t1, %zu t1ce, %zu t2 and %zu flair ('twinseg check' lists what is there)",
        c->data.path, teacher ? "the teacher " : "", needed ? "the modalities " : "any modality",
        needed ? modality_print(needed, names) : "", c->data.count, unlabelled, lacking[T1],
        lacking[T1CE], lacking[T2], lacking[FLAIR]);
}

/* Does the case take part: in training, or held out, where it is enough that the networks can be
 * scored on it? */
static bool takes_part(const plan *p, const dataset_case *d, bool held_out)
{
    if (held_out)
        return d->truth && plan_case_use(p, dataset_case_modalities(d)) != TRAINS_NOTHING;
    return training_use(p, d) != TRAINS_NOTHING;
}

static void fill_split(run_cases *c, const plan *p, const bool *held_out)
{
    size_t used = 0;
    run_split *s = &c->split;
    for (int pass = 0; pass < 2; pass++) /* training cases first */
        for (size_t i = 0; i < c->data.count; i++) {
            const dataset_case *d = &c->data.cases[i];
            const bool fit = takes_part(p, d, held_out[i]);
            if (!fit && pass == 0)
                s->skipped[s->skipped_count++] = d->id;
            if (!fit || held_out[i] != (pass == 1))
                continue;
            c->used[used++] = d;
            if (pass == 0) {
                s->train[s->train_count++] = d->id;
                if (training_use(p, d) == TRAINS_STUDENT)
                    s->student_alone[s->student_alone_count++] = d->id;
            } else {
                s->held_out[s->held_out_count++] = d->id;
            }
        }
}

static ts_status split_cases(run_cases *c, const plan *p, const train_options *o, ts_error *error)
{
    run_split *s = &c->split;
    bool *held_out = memory_allocate(c->data.count, sizeof *held_out, "the split", error);
    if (!held_out)
        return TS_MEMORY;
    s->fold = o->fold;
    s->folds = o->folds;
    dataset_split(&c->data, (uint64_t)p->seed, o->fold, o->folds, held_out);
    fill_split(c, p, held_out);
    free(held_out);
    note_skipped(c, p);
    if (s->student_alone_count == s->train_count)
        return refuse_cases(c, p, s->train_count || p->method == METHOD_TEACHER, error);
    if (s->student_alone_count)
        note("%zu of %zu training cases lack modalities: they train the student alone, in up to "
             "%.0f %% of the steps (partial_share)",
             s->student_alone_count, s->train_count, 100 * p->partial_share);
    return TS_OK;
}

ts_status run_cases_open(run_cases *c, const plan *p, const train_options *options, ts_error *error)
{
    *c = (run_cases){0};
    ts_status status =
        dataset_open_all(options->data, options->data_count, (label_map)p->labels, &c->data, error);
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
    free(c->split.student_alone);
    dataset_close(&c->data);
    *c = (run_cases){0};
}
