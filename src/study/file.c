/* The study file: what is compared (methods, subsets, seeds, folds), the settings of all runs, and
 * arms, which are methods with settings of their own. */
#include "study/cell.h"

#include <stdlib.h>
#include <string.h>

/* A line of the file, kept until all are read: an arm may come before the settings that it
 * changes. */
typedef struct {
    char section[128], key[64], value[256];
    int line;
} entry;

typedef struct {
    entry *entries;
    size_t count;
    const char *path;
} content;

static ts_status bad(const content *c, const entry *e, ts_error *error, const char *format, ...)
    PRINTF_LIKE(4, 5);

static ts_status bad(const content *c, const entry *e, ts_error *error, const char *format, ...)
{
    char cause[512];
    va_list list;
    va_start(list, format);
    vsnprintf(cause, sizeof cause, format, list);
    va_end(list);
    return error_set(error, TS_BAD_INPUT, "'%s' line %d: %s", c->path, e->line, cause);
}

static ts_status keep_entry(void *context, const char *section, const char *key, const char *value,
                            int line, ts_error *error)
{
    content *c = context;
    entry *grown = realloc(c->entries, (c->count + 1) * sizeof *grown);
    if (!grown)
        return error_set(error, TS_MEMORY, "out of memory while reading '%s'", c->path);
    c->entries = grown;
    entry *e = &c->entries[c->count++];
    *e = (entry){.line = line};
    snprintf(e->section, sizeof e->section, "%s", section);
    if (snprintf(e->key, sizeof e->key, "%s", key) >= (int)sizeof e->key ||
        snprintf(e->value, sizeof e->value, "%s", value) >= (int)sizeof e->value)
        return bad(c, e, error, "the key or the value is too long");
    return TS_OK;
}

/* The next word of a list separated by commas, without the space around it; false at the end. */
static bool next_word(const char **at, char *word, size_t size)
{
    const char *start = *at + strspn(*at, " \t,");
    size_t length = strcspn(start, ",");
    *at = start + length;
    while (length && (start[length - 1] == ' ' || start[length - 1] == '\t'))
        length--;
    snprintf(word, size, "%.*s", (int)length, start);
    return length > 0;
}

/* Names become parts of file names. */
static bool good_name(const char *name)
{
    const size_t length = strlen(name);
    return length > 0 && length < STUDY_NAME_MAX && name[0] != '.' && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") ==
               length;
}

static study_arm *find_arm(study *s, const char *name)
{
    for (size_t i = 0; i < s->arm_count; i++)
        if (!strcmp(s->arms[i].name, name))
            return &s->arms[i];
    return NULL;
}

static ts_status add_arm(study *s, const content *c, const entry *e, const char *name,
                         const plan *base, ts_error *error)
{
    if (!good_name(name))
        return bad(c, e, error,
                   "'%s' cannot name an arm: up to %d letters, digits, '.', '_', '+', '-'", name,
                   STUDY_NAME_MAX - 1);
    if (find_arm(s, name))
        return bad(c, e, error, "there are two arms '%s'", name);
    if (s->arm_count == STUDY_ARMS_MAX)
        return bad(c, e, error, "more than %d arms", STUDY_ARMS_MAX);
    study_arm *arm = &s->arms[s->arm_count++];
    arm->plan = *base;
    snprintf(arm->name, sizeof arm->name, "%s", name);
    return TS_OK;
}

/* ---- the head: what is compared -------------------------------------------------------------- */

static ts_status read_subsets(study *s, const content *c, const entry *e, ts_error *error)
{
    const char *at = e->value;
    ts_error cause;
    for (char word[64]; next_word(&at, word, sizeof word);) {
        study_subset *subset = &s->subsets[s->subset_count];
        if (s->subset_count == STUDY_SUBSETS_MAX)
            return bad(c, e, error, "more than %d subsets", STUDY_SUBSETS_MAX);
        if (strlen(word) >= sizeof subset->name ||
            modality_parse(word, &subset->set, &cause) != TS_OK)
            return bad(c, e, error,
                       "'%s' is not a subset: t1, t1ce, t2, flair, each once, joined by '+'", word);
        for (size_t i = 0; i < s->subset_count; i++)
            if (s->subsets[i].set == subset->set)
                return bad(c, e, error, "the subset '%s' is given twice", word);
        snprintf(subset->name, sizeof subset->name, "%.*s", (int)sizeof subset->name - 1, word);
        s->subset_count++;
    }
    return TS_OK;
}

static ts_status read_seeds(study *s, const content *c, const entry *e, ts_error *error)
{
    const char *at = e->value;
    for (char word[64]; next_word(&at, word, sizeof word);) {
        int64_t seed;
        if (!parse_integer(word, &seed) || seed < 0 || seed > 4294967295)
            return bad(c, e, error, "'%s' is not a seed: whole numbers from 0 to 4294967295", word);
        if (s->seed_count == STUDY_SEEDS_MAX)
            return bad(c, e, error, "more than %d seeds", STUDY_SEEDS_MAX);
        for (size_t i = 0; i < s->seed_count; i++)
            if (s->seeds[i] == seed)
                return bad(c, e, error, "seed %s is given twice", word);
        s->seeds[s->seed_count++] = seed;
    }
    return TS_OK;
}

static ts_status read_head(study *s, const content *c, ts_error *error)
{
    static const char *const keys[] = {"name", "methods", "subsets", "seeds", "folds", "reference"};
    bool seen[COUNT_OF(keys)] = {false};
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < c->count; i++) {
        const entry *e = &c->entries[i];
        size_t k = 0;
        int64_t folds;
        if (e->section[0])
            continue;
        while (k < COUNT_OF(keys) && strcmp(e->key, keys[k]))
            k++;
        if (k == COUNT_OF(keys))
            return bad(c, e, error,
                       "'%s' is unknown here: name, methods, subsets, seeds, folds, reference; "
                       "settings of the runs belong below [settings]",
                       e->key);
        if (seen[k])
            return bad(c, e, error, "%s is given twice", e->key);
        seen[k] = true;
        if (!strcmp(e->key, "subsets"))
            status = read_subsets(s, c, e, error);
        else if (!strcmp(e->key, "seeds"))
            status = read_seeds(s, c, e, error);
        else if (!strcmp(e->key, "folds")) {
            if (!parse_integer(e->value, &folds) || folds < 2 || folds > 1000)
                return bad(c, e, error,
                           "folds is a whole number from 2 to 1000: every case is scored by a run "
                           "that has not seen it");
            s->folds = (int)folds;
        } else if (!strcmp(e->key, "name")) {
            if (!good_name(e->value))
                return bad(c, e, error,
                           "'%s' cannot name a study: letters, digits, '.', '_', '+', '-'",
                           e->value);
            snprintf(s->name, sizeof s->name, "%.*s", STUDY_NAME_MAX - 1, e->value);
        }
    }
    return status;
}

/* ---- settings and arms ----------------------------------------------------------------------- */

static ts_status set_entry(plan *p, const content *c, const entry *e, ts_error *error)
{
    static const struct {
        const char *key, *place;
    } elsewhere[] = {{"student", "by 'subsets' at the head of the file"},
                     {"seed", "by 'seeds' at the head of the file"},
                     {"threads", "by --threads"}};
    char source[512];
    ts_error cause;
    for (size_t i = 0; i < COUNT_OF(elsewhere); i++)
        if (!strcmp(e->key, elsewhere[i].key))
            return bad(c, e, error, "%s is set %s", e->key, elsewhere[i].place);
    snprintf(source, sizeof source, "'%s' line %d", c->path, e->line);
    if (!strcmp(e->key, "preset"))
        return plan_preset(p, e->value, &cause) == TS_OK ? TS_OK
                                                         : bad(c, e, error, "%s", cause.text);
    return plan_set(p, e->key, e->value, source, error);
}

/* [settings]: the preset first, wherever it is, since it sets many keys at once. */
static ts_status read_settings(plan *base, const content *c, ts_error *error)
{
    plan_defaults(base);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < c->count; i++) {
            const entry *e = &c->entries[i];
            if (strcmp(e->section, "settings") || strcmp(e->key, "preset") == (pass == 0))
                continue;
            if (!strcmp(e->key, "method"))
                return bad(c, e, error, "method is set by 'methods' at the head of the file");
            const ts_status status = set_entry(base, c, e, error);
            if (status != TS_OK)
                return status;
        }
    return TS_OK;
}

static ts_status read_methods(study *s, const content *c, const plan *base, ts_error *error)
{
    for (size_t i = 0; i < c->count; i++) {
        const entry *e = &c->entries[i];
        const char *at = e->value;
        if (e->section[0] || strcmp(e->key, "methods"))
            continue;
        for (char word[64]; next_word(&at, word, sizeof word);) {
            char source[512];
            plan p = *base;
            snprintf(source, sizeof source, "'%s' line %d", c->path, e->line);
            ts_status status = plan_set(&p, "method", word, source, error);
            if (status == TS_OK)
                status = add_arm(s, c, e, word, &p, error);
            if (status != TS_OK)
                return status;
        }
    }
    return TS_OK;
}

/* [arm NAME]: the first method with these settings over the common ones. */
static ts_status read_arms(study *s, const content *c, const plan *base, ts_error *error)
{
    plan start = *base;
    if (s->arm_count)
        start.method = s->arms[0].plan.method;
    const size_t methods = s->arm_count;
    for (size_t i = 0; i < c->count; i++) {
        const entry *e = &c->entries[i];
        if (!e->section[0] || !strcmp(e->section, "settings"))
            continue;
        if (strncmp(e->section, "arm ", 4))
            return bad(c, e, error, "[%s] is unknown: [settings] and [arm NAME]", e->section);
        const char *name = e->section + 4 + strspn(e->section + 4, " ");
        study_arm *arm = find_arm(s, name);
        if (!strcmp(e->key, "preset"))
            return bad(c, e, error, "preset belongs in [settings]: here it would undo them");
        if (!arm || arm < s->arms + methods) {
            const ts_status added = add_arm(s, c, e, name, &start, error);
            if (added != TS_OK)
                return added;
            arm = &s->arms[s->arm_count - 1];
        }
        const ts_status status = set_entry(&arm->plan, c, e, error);
        if (status != TS_OK)
            return status;
    }
    return TS_OK;
}

static ts_status read_reference(study *s, const content *c, ts_error *error)
{
    const study_arm *arm = find_arm(s, "student-only");
    for (size_t i = 0; i < c->count; i++) {
        const entry *e = &c->entries[i];
        if (e->section[0] || strcmp(e->key, "reference"))
            continue;
        arm = find_arm(s, e->value);
        if (!arm)
            return bad(c, e, error, "reference is '%s', but there is no such method or arm",
                       e->value);
    }
    s->reference = arm ? (size_t)(arm - s->arms) : 0;
    return TS_OK;
}

/* ---- the grid -------------------------------------------------------------------------------- */

static void add_cell(study *s, size_t arm, const char *subset, modality_set input, int64_t seed,
                     int fold)
{
    study_cell *c = &s->cells[s->cell_count++];
    *c = (study_cell){.arm = arm, .input = input, .seed = seed, .fold = fold};
    c->plan = s->arms[arm].plan;
    c->plan.student = input;
    c->plan.seed = seed;
    snprintf(c->name, sizeof c->name, "%s-%s-s%lld-f%d", s->arms[arm].name, subset, (long long)seed,
             fold);
}

bool study_spans_subsets(const study_arm *arm)
{
    return arm->plan.method == METHOD_TEACHER || plan_any_subset(&arm->plan);
}

static ts_status make_cells(study *s, ts_error *error)
{
    const size_t most = s->seed_count * s->subset_count * (size_t)s->folds * s->arm_count;
    s->cells = memory_allocate(most, sizeof *s->cells, "the cells of the study", error);
    if (!s->cells)
        return TS_MEMORY;
    for (size_t i = 0; i < s->seed_count; i++)
        for (size_t j = 0; j < s->subset_count; j++)
            for (int fold = 0; fold < s->folds; fold++)
                for (size_t arm = 0; arm < s->arm_count; arm++) {
                    const bool spans = study_spans_subsets(&s->arms[arm]);
                    if (spans && j == 0)
                        add_cell(s, arm, "all", ALL_MODALITIES, s->seeds[i], fold);
                    else if (!spans)
                        add_cell(s, arm, s->subsets[j].name, s->subsets[j].set, s->seeds[i], fold);
                }
    return TS_OK;
}

static ts_status check_study(const study *s, const char *path, ts_error *error)
{
    ts_error cause;
    const char *missing = !s->arm_count      ? "methods"
                          : !s->subset_count ? "subsets"
                          : !s->seed_count   ? "seeds"
                          : !s->folds        ? "folds"
                                             : NULL;
    if (missing)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' has no '%s': a study needs methods (or arms), "
                         "subsets, seeds and folds",
                         path, missing);
    for (size_t i = 0; i < s->arm_count; i++)
        if (plan_check(&s->arms[i].plan, &cause) != TS_OK)
            return error_set(error, TS_BAD_INPUT, "'%s', arm '%s': %s", path, s->arms[i].name,
                             cause.text);
    return TS_OK;
}

/* The file's name without folder and extension. */
static void default_name(study *s, const char *path)
{
    const char *name = string_file_name(path);
    snprintf(s->name, sizeof s->name, "%.*s", (int)strcspn(name, "."), name);
}

static ts_status read_study(study *s, const content *c, ts_error *error)
{
    plan base;
    ts_status status = read_head(s, c, error);
    if (status != TS_OK)
        return status;
    status = read_settings(&base, c, error);
    if (status != TS_OK)
        return status;
    status = read_methods(s, c, &base, error);
    if (status != TS_OK)
        return status;
    status = read_arms(s, c, &base, error);
    if (status != TS_OK)
        return status;
    status = read_reference(s, c, error);
    if (status != TS_OK)
        return status;
    status = check_study(s, c->path, error);
    return status == TS_OK ? make_cells(s, error) : status;
}

ts_status study_parse(const char *bytes, size_t count, const char *path, study *out,
                      ts_error *error)
{
    content c = {.path = path};
    *out = (study){.path = string_format("%s", path)};
    if (!out->path)
        return error_set(error, TS_MEMORY, "out of memory");
    default_name(out, path);
    ts_status status = ini_parse(bytes, count, path, keep_entry, &c, error);
    if (status == TS_OK)
        status = read_study(out, &c, error);
    free(c.entries);
    if (status != TS_OK)
        study_close(out);
    return status;
}

ts_status study_open(const char *path, study *out, ts_error *error)
{
    uint8_t *bytes;
    size_t count;
    ts_status status = file_get(path, 1 << 20, &bytes, &count, error);
    if (status != TS_OK)
        return status;
    status = study_parse((const char *)bytes, count, path, out, error);
    free(bytes);
    return status;
}

void study_close(study *s)
{
    free(s->path);
    free(s->cells);
    *s = (study){0};
}
