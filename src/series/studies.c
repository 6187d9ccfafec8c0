/* Patients and studies of a folder of DICOM, told apart without being named. */
#include "series/found.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- one patient, one study ------------------------------------------------------------------- */

/* Groups that messages call A, B, C ... in the order of their keys. */
typedef struct {
    string_list keys;
} groups;

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static ts_status groups_add(groups *g, const char *key, ts_error *error)
{
    for (size_t i = 0; i < g->keys.count; i++)
        if (!strcmp(g->keys.items[i], key))
            return TS_OK;
    return string_list_add(&g->keys, key, error);
}

static void letter_of(size_t index, char out[24])
{
    if (index < 26)
        snprintf(out, 24, "%c", (char)('A' + index));
    else
        snprintf(out, 24, "A%zu", index);
}

/* What tells patients apart: the ID, and the name in one spelling. */
static void patient_key(const dicom_header *h, char out[2 * DICOM_TEXT + 2])
{
    char name[DICOM_TEXT];
    size_t n = 0;
    for (const char *at = h->patient_name; *at; at++)
        if (isalnum((unsigned char)*at) || (unsigned char)*at >= 0x80)
            name[n++] = (char)toupper((unsigned char)*at);
    name[n] = '\0';
    snprintf(out, 2 * DICOM_TEXT + 2, "%s\n%s", h->patient_id, name);
}

static void study_key(const dicom_header *h, char out[2 * DICOM_TEXT + 2])
{
    snprintf(out, 2 * DICOM_TEXT + 2, "%s", h->study_date[0] ? h->study_date : h->study_uid);
}

/* The group that is asked for, by its letter or (of patients) by the DICOM's ID; the only one where
 * none is asked for. -1 with an error. */
static int pick_group(const groups *g, const char *folder, const char *what, const char *asked,
                      const size_t *images, ts_error *error)
{
    char letter[24];
    text list = {0};
    int by_letter = -1, by_id = -1;
    for (size_t i = 0; i < g->keys.count; i++) {
        const char *key = g->keys.items[i];
        letter_of(i, letter);
        if (asked && !strcmp(letter, asked))
            by_letter = (int)i;
        if (asked && strlen(asked) == strcspn(key, "\n") && !strncmp(key, asked, strlen(asked)))
            by_id = (int)i;
        text_append(&list, "%s%s (%zu images)", i ? ", " : "", letter, images[i]);
    }
    int found = by_id >= 0 ? by_id : by_letter;
    if (!asked && g->keys.count == 1)
        found = 0;
    if (by_id >= 0 && by_letter >= 0 && by_id != by_letter) {
        found = -1;
        error_set(error, TS_BAD_INPUT,
                  "--%s %s is both a letter of this list and an ID in the images", what, asked);
    } else if (found < 0 && asked) {
        error_set(error, TS_BAD_INPUT, "'%s': there is no such %s: the images are of %s", folder,
                  what, list.data ? list.data : "");
    } else if (found < 0) {
        error_set(error, TS_BAD_INPUT,
                  "'%s' holds images of %zu %s: %s: choose one by --%s A (or --%s %s)", folder,
                  g->keys.count, !strcmp(what, "study") ? "studies" : "patients",
                  list.data ? list.data : "", what, what,
                  !strcmp(what, "study") ? "YYYYMMDD, its date"
                                         : "ID, the patient's ID in the images");
    }
    text_free(&list);
    return found;
}

/* Keeps in `keep` those whose key is the chosen one. */
static ts_status keep_group(const found_files *f, const char *folder, const char *what,
                            const char *asked,
                            void (*key_of)(const dicom_header *, char[2 * DICOM_TEXT + 2]),
                            bool *keep, ts_error *error)
{
    char key[2 * DICOM_TEXT + 2];
    groups g = {0};
    size_t *images = NULL;
    ts_status status = TS_OK;
    for (size_t i = 0; status == TS_OK && i < f->dicom.count; i++) {
        key_of(&f->headers[i], key);
        status = keep[i] ? groups_add(&g, key, error) : TS_OK;
    }
    if (status == TS_OK &&
        !(images = memory_allocate(g.keys.count, sizeof *images, "groups", error)))
        status = TS_MEMORY;
    if (status != TS_OK)
        goto end;
    if (g.keys.count > 1)
        qsort(g.keys.items, g.keys.count, sizeof *g.keys.items, compare_strings);
    for (size_t i = 0; i < f->dicom.count; i++)
        for (size_t k = 0; keep[i] && k < g.keys.count; k++) {
            key_of(&f->headers[i], key);
            images[k] += !strcmp(g.keys.items[k], key);
        }
    const int chosen = pick_group(&g, folder, what, asked, images, error);
    if (chosen < 0) {
        status = TS_BAD_INPUT;
        goto end;
    }
    for (size_t i = 0; i < f->dicom.count; i++) {
        key_of(&f->headers[i], key);
        keep[i] = keep[i] && !strcmp(g.keys.items[chosen], key);
    }
end:
    free(images);
    string_list_free(&g.keys);
    return status;
}

ts_status found_keep(const found_files *f, const char *folder, const series_pick *pick, bool *keep,
                     ts_error *error)
{
    memset(keep, true, f->dicom.count);
    const ts_status status =
        keep_group(f, folder, "patient", pick->patient, patient_key, keep, error);
    if (status != TS_OK)
        return status;
    return keep_group(f, folder, "study", pick->study, study_key, keep, error);
}
