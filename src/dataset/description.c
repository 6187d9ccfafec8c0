/* dataset.json, of the Medical Segmentation Decathlon and of nnU-Net 1 and 2: which channel is
 * which modality, and what the label values mean. */
#include "dataset/layout.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* What a label's name may mean; a value can have several (regions overlap). */
enum {
    IS_NCR = 1,
    IS_ED = 2,
    IS_ET = 4,
    IS_CAVITY = 8,
    IS_WHOLE = 16,
    IS_CORE = 32,
    IS_NOTHING = 64
};

/* The first entry that a name contains decides: "non-enhancing tumor core" is necrosis, not a core,
 * and not enhancing. `whole`: the name must be the word itself. */
static const struct {
    const char *word;
    bool whole;
    int meaning;
} label_words[] = {
    {"background", false, IS_NOTHING},
    {"ignore", false, IS_NOTHING},
    {"nonenh", false, IS_NCR},
    {"necro", false, IS_NCR},
    {"ncr", false, IS_NCR},
    {"netc", false, IS_NCR},
    {"net", true, IS_NCR},
    {"enhanc", false, IS_ET},
    {"et", true, IS_ET},
    {"edema", false, IS_ED},
    {"snfh", false, IS_ED},
    {"hyperint", false, IS_ED},
    {"ed", true, IS_ED},
    {"cavity", false, IS_CAVITY},
    {"rc", true, IS_CAVITY},
    {"cyst", false, IS_NCR},
    {"cc", true, IS_NCR},
    {"whole", false, IS_WHOLE},
    {"wt", true, IS_WHOLE},
    {"core", false, IS_CORE},
    {"tc", true, IS_CORE},
};

static int label_meaning(const char *name)
{
    char letters[64];
    size_t n = 0;
    for (; *name && n + 1 < sizeof letters; name++)
        if (isalpha((unsigned char)*name))
            letters[n++] = (char)tolower((unsigned char)*name);
    letters[n] = '\0';
    for (size_t i = 0; i < COUNT_OF(label_words); i++)
        if (label_words[i].whole ? !strcmp(letters, label_words[i].word)
                                 : strstr(letters, label_words[i].word) != NULL)
            return label_words[i].meaning;
    return 0;
}

/* "0".."255", or -1. */
static int label_value(const json_t *value)
{
    int64_t number = -1;
    if (json_is_integer(value))
        number = json_integer_value(value);
    else if (json_is_string(value) && !parse_integer(json_string_value(value), &number))
        number = -1;
    return number >= 0 && number <= 255 ? (int)number : -1;
}

/* Notes that `value` is called `name`. */
static void name_value(int meanings[256], int value, const char *name, dataset_description *out)
{
    const size_t used = strlen(out->label_names);
    const int meaning = label_meaning(name);
    if (value == 0)
        return;
    snprintf(out->label_names + used, sizeof out->label_names - used, "%s%d %.32s",
             used ? ", " : "", value, name);
    if (value < 0 || meaning == 0)
        out->labels_unknown = true;
    else
        meanings[value] |= meaning;
}

/* The one map that gives every named value its meaning; LABELS_AUTO where none does. */
static label_map choose_map(const int meanings[256])
{
    static const struct {
        label_map map;
        int meaning[5]; /* of value 1..4 */
    } maps[] = {
        {LABELS_BRATS2023, {0, IS_NCR, IS_ED, IS_ET, 0}},
        {LABELS_BRATS2021, {0, IS_NCR, IS_ED, 0, IS_ET}},
        {LABELS_BRATS2024, {0, IS_NCR, IS_ED, IS_ET, IS_CAVITY}},
        {LABELS_MSD, {0, IS_ED, IS_NCR, IS_ET, 0}},
        {LABELS_PED, {0, IS_ET, IS_NCR, IS_NCR, IS_ED}},
    };
    for (size_t i = 0; i < COUNT_OF(maps); i++) {
        bool fits = true;
        for (int v = 1; v < 256; v++) {
            const int m = meanings[v];
            /* a value's own name comes before the regions that it belongs to */
            const int own = m & IS_ET       ? IS_ET
                            : m & IS_CAVITY ? IS_CAVITY
                            : m & IS_NCR    ? IS_NCR
                            : m & IS_ED     ? IS_ED
                            : m & IS_CORE   ? IS_NCR
                            : m & IS_WHOLE  ? IS_ED
                                            : 0;
            fits &= own == (v < 5 ? maps[i].meaning[v] : 0);
        }
        if (fits)
            return maps[i].map;
    }
    return LABELS_AUTO;
}

/* {"1": "edema"} (MSD, nnU-Net 1), {"edema": 1} or {"whole tumor": [1, 2, 3]} (nnU-Net 2). */
static void read_labels(const json_t *labels, dataset_description *out)
{
    int meanings[256] = {0};
    const char *key;
    json_t *value, *item;
    size_t k;
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
    {
        int64_t number;
        if (json_is_array(value))
            json_array_foreach(value, k, item) name_value(meanings, label_value(item), key, out);
        else if (json_is_string(value) && parse_integer(key, &number))
            name_value(meanings, number >= 0 && number <= 255 ? (int)number : -1,
                       json_string_value(value), out);
        else
            name_value(meanings, label_value(value), key, out);
    }
    if (!out->label_names[0])
        return;
    out->labels = out->labels_unknown ? LABELS_AUTO : choose_map(meanings);
    out->labels_unknown = out->labels == LABELS_AUTO;
}

static ts_status read_channel(const char *file, int64_t number, const json_t *name,
                              dataset_description *out, ts_error *error)
{
    if (number < 0 || number >= DATASET_CHANNELS_MAX || !json_is_string(name))
        return error_set(error, TS_BAD_INPUT,
                         "'%s': a channel must be a number from 0 to %d with a name, such as "
                         "\"0\": \"FLAIR\"",
                         file, DATASET_CHANNELS_MAX - 1);
    const int k = (int)number, role = name_modality(json_string_value(name));
    for (int i = 0; i < out->channels; i++)
        if (i != k && role != ROLE_NONE && out->role[i] == role)
            return error_set(
                error, TS_BAD_INPUT,
                "'%s': channels '%s' and '%.31s' both mean %s: name each modality once", file,
                out->name[i], json_string_value(name), modality_names[role]);
    out->role[k] = role;
    snprintf(out->name[k], sizeof out->name[k], "%s", json_string_value(name));
    if (k >= out->channels)
        out->channels = k + 1;
    return TS_OK;
}

static ts_status read_channels(const char *file, const json_t *channels, dataset_description *out,
                               ts_error *error)
{
    ts_status status = TS_OK;
    const char *key;
    json_t *value;
    size_t k;
    for (int i = 0; i < DATASET_CHANNELS_MAX; i++)
        out->role[i] = ROLE_NONE;
    if (json_is_array(channels)) {
        json_array_foreach(channels, k, value) if (status == TS_OK) status =
            read_channel(file, (int64_t)k, value, out, error);
    } else {
        json_object_foreach((json_t *)(uintptr_t)channels, key, value)
        {
            int64_t number;
            if (status == TS_OK)
                status = read_channel(file, parse_integer(key, &number) ? number : -1, value, out,
                                      error);
        }
    }
    return status;
}

static ts_status parse(const char *json, size_t count, const char *file, json_t **root,
                       ts_error *error)
{
    json_error_t cause;
    const size_t mark = text_mark(json, count);
    *root = json_loadb(json + mark, count - mark, 0, &cause);
    return *root ? TS_OK
                 : error_set(error, TS_BAD_INPUT, "'%s' line %d is not JSON: %s", file, cause.line,
                             cause.text);
}

ts_status dataset_describe(const char *json, size_t count, const char *file,
                           dataset_description *out, ts_error *error)
{
    json_t *root;
    *out = (dataset_description){.labels = LABELS_AUTO};
    ts_status status = parse(json, count, file, &root, error);
    if (status != TS_OK)
        return status;
    const json_t *channels = json_object_get(root, "channel_names");
    if (!channels)
        channels = json_object_get(root, "modality");
    if (!json_is_object(channels) && !json_is_array(channels))
        status =
            error_set(error, TS_BAD_INPUT,
                      "'%s' names no channels: it needs \"channel_names\" (or \"modality\"), "
                      "such as {\"0\": \"FLAIR\", \"1\": \"T1\", \"2\": \"T1ce\", \"3\": \"T2\"}",
                      file);
    else
        status = read_channels(file, channels, out, error);
    const json_t *labels = json_object_get(root, "labels");
    if (status == TS_OK && json_is_object(labels))
        read_labels(labels, out);
    json_decref(root);
    return status;
}

/* ---- label files beside a dataset.json ------------------------------------------------------ */

/* A folder's dataset.json, in memory of its own; NULL where there is none (or no memory). */
static char *description_in(const char *folder)
{
    char *file = path_join(folder, "dataset.json", NULL);
    if (file && file_exists(file))
        return file;
    free(file);
    return NULL;
}

/* The folder that path lies in, in memory of its own. */
static char *parent_of(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t name = length;
    while (name > 0 && path[name - 1] != '/')
        name--;
    if (length - name <= 2 && !strncmp(path + name, "..", length - name)) /* ".", "..", "" */
        return string_format("%.*s/..", (int)length, path);
    return name ? string_format("%.*s", (int)name, path) : string_format(".");
}

/* The dataset.json that speaks of the labels at path; NULL where there is none. */
static char *description_of(const char *path, bool above)
{
    char *folder = directory_exists(path) ? string_format("%s", path) : parent_of(path);
    char *file = folder ? description_in(folder) : NULL;
    char *parent = folder && !file && above ? parent_of(folder) : NULL;
    if (parent)
        file = description_in(parent);
    free(folder);
    free(parent);
    return file;
}

void dataset_settle_labels(const char *path, const char *file, label_map stated, label_map *map)
{
    if (*map == LABELS_AUTO) {
        *map = stated;
        note("the labels of '%s' are read as %s %s, as '%s' says", path, labels_name(stated),
             labels_words(stated), file);
    } else if (!labels_same_values(*map, stated))
        warn("the labels of '%s' are read as %s %s, as requested, but '%s' says %s %s", path,
             labels_name(*map), labels_words(*map), file, labels_name(stated),
             labels_words(stated));
}

static ts_status settle_by(const char *path, const char *file, label_map *map, ts_error *error)
{
    char choices[LABEL_SETTINGS];
    dataset_description about = {.labels = LABELS_AUTO};
    uint8_t *bytes = NULL;
    size_t count = 0;
    json_t *root = NULL;
    ts_status status = file_get(file, DESCRIPTION_BYTES_MAX, &bytes, &count, error);
    if (status != TS_OK)
        return status;
    status = parse((const char *)bytes, count, file, &root, error);
    if (status == TS_OK && json_is_object(json_object_get(root, "labels")))
        read_labels(json_object_get(root, "labels"), &about);
    if (about.labels != LABELS_AUTO)
        dataset_settle_labels(path, file, about.labels, map);
    else if (about.labels_unknown && *map == LABELS_AUTO)
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' names the labels '%s', which are not an order of necrosis, edema "
                           "and enhancing tumour known here: say how to read '%s' by %s",
                           file, about.label_names, path, labels_settings(choices));
    json_decref(root);
    free(bytes);
    return status;
}

ts_status dataset_take_labels(const char *path, bool above, label_map *map, ts_error *error)
{
    char *file = description_of(path, above);
    const ts_status status = file ? settle_by(path, file, map, error) : TS_OK;
    free(file);
    return status;
}
