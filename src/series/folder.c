/* A folder of DICOM or of NIfTI files to a list of series.
 *
 * Of DICOM: every file's header is read, so that patients and studies are told apart before
 * anything is written. The files of the one patient and study go, as links, through dcm2niix, whose
 * sidecars it writes without names (-ba y) and whose voxels stay in the scanner's order (-x i); its files are called by the series' UID, which joins
 * them to the headers. What it prints can name files of the user, and stays in the scratch
 * folder. */
#include "series/found.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ts_status out_of_memory(ts_error *error)
{
    return error_set(error, TS_MEMORY, "out of memory while listing series");
}

/* ---- series of DICOM -------------------------------------------------------------------------- */

static series_item *find_uid(const series_list *l, const char *uid, size_t length)
{
    for (size_t i = 0; i < l->count; i++)
        if (strlen(l->items[i].uid) == length && !strncmp(l->items[i].uid, uid, length))
            return &l->items[i];
    return NULL;
}

static series_item *add_item(series_list *l, ts_error *error)
{
    if ((l->count & (l->count - 1)) == 0) { /* full at each power of two */
        series_item *bigger = realloc(l->items, (l->count ? 2 * l->count : 1) * sizeof *bigger);
        if (!bigger) {
            out_of_memory(error);
            return NULL;
        }
        l->items = bigger;
    }
    series_item *s = &l->items[l->count++];
    *s = (series_item){.facts = series_facts_none()};
    return s;
}

/* Replaces what is part of the patient's name or ID, in any case. */
static void hide(char *s, const char *identity)
{
    char part[DICOM_TEXT];
    while (*identity) {
        const size_t n = strcspn(identity, "^ =,");
        memcpy(part, identity, n);
        part[n] = '\0';
        for (char *at = n >= 3 ? strcasestr(s, part) : NULL; at; at = strcasestr(at + n, part))
            memset(at, 'x', n);
        identity += n + (identity[n] != '\0');
    }
}

/* Facts of a header, which a sidecar completes. */
static void take_header(series_item *s, const dicom_header *h)
{
    snprintf(s->uid, sizeof s->uid, "%s", h->series_uid);
    snprintf(s->label, sizeof s->label, "%s", h->series_number[0] ? h->series_number : "0");
    snprintf(s->facts.modality, sizeof s->facts.modality, "%.15s", h->modality);
    snprintf(s->facts.agent, sizeof s->facts.agent, "%s", h->agent);
    s->facts.dicom = true;
}

static ts_status link_files(const found_files *f, const bool *keep, const char *into,
                            ts_error *error)
{
    ts_status status = directory_create(into, error);
    for (size_t i = 0; status == TS_OK && i < f->dicom.count; i++) {
        if (!keep[i] || strcmp(f->headers[i].modality, "MR") != 0)
            continue;
        char *name = string_format("%s/%06zu.dcm", into, i);
        char *target = realpath(f->dicom.items[i], NULL);
        if (!name || !target || symlink(target, name) != 0)
            status = error_set(error, TS_IO, "cannot write links into '%s'", into);
        free(name);
        free(target);
    }
    return status;
}

static ts_status convert(const char *in, const char *out, const char *log, const char *folder,
                         ts_error *error)
{
    const char *const words[] = {"dcm2niix",
                                 "-z",
                                 "n",
                                 "-b",
                                 "y",
                                 "-ba",
                                 "y",
                                 "-x",
                                 "i",
                                 "-f",
                                 "%j",
                                 "-w",
                                 "2",
                                 "-o",
                                 out,
                                 in,
                                 (const char *)NULL};
    bool found, good;
    ts_status status = directory_create(out, error);
    if (status == TS_OK)
        status = program_run(words, log, &found, &good, error);
    if (status != TS_OK)
        return status;
    if (!found)
        return error_set(error, TS_BAD_INPUT,
                         "'%s' holds DICOM, and dcm2niix, which reads it, is not installed: "
                         "'apt-get install dcm2niix', or give NIfTI files",
                         folder);
    return TS_OK; /* what it could not convert has no file, which is said of the series */
}

static ts_status read_grid(series_item *s, ts_error *error)
{
    volume_header h;
    const ts_status status = volume_read_header(s->path, &h, error);
    if (status != TS_OK)
        return status;
    s->facts.volumes = 1;
    for (int k = 0; k < 7; k++) {
        if (k < 3)
            s->facts.shape[k] = h.shape[k];
        else
            s->facts.volumes *= h.shape[k];
    }
    for (int k = 0; k < 3; k++)
        s->facts.spacing_mm[k] = h.zooms[k];
    return TS_OK;
}

/* One of dcm2niix's volumes: a series has several where it holds several echoes or positions. */
static ts_status add_converted(series_list *l, const char *folder, const char *name,
                               ts_error *error)
{
    const size_t stem = strlen(name) - volume_extension(name), uid = strspn(name, "0123456789.");
    const size_t length = uid < stem ? uid : stem;
    const series_item *first = find_uid(l, name, length);
    char *sidecar = string_format("%s/%.*s.json", folder, (int)stem, name);
    char *values = string_format("%s/%.*s.bval", folder, (int)stem, name);
    char *path = path_join(folder, name, error);
    ts_status status = sidecar && values && path ? TS_OK : out_of_memory(error);
    if (status != TS_OK || !first)
        goto end;
    series_item copy = *first; /* add_item may move the items */
    series_item *s = first->path ? add_item(l, error) : find_uid(l, name, length);
    if (!s) {
        status = TS_MEMORY;
        goto end;
    }
    copy.facts.modality[0] = copy.facts.description[0] = copy.facts.image_type[0] = '\0';
    *s = copy;
    s->path = path;
    path = NULL;
    s->facts.diffusion = file_exists(values);
    if (file_exists(sidecar))
        status = series_read_sidecar(sidecar, &s->facts, error);
    if (status == TS_OK)
        status = read_grid(s, error);
end:
    free(path);
    free(sidecar);
    free(values);
    return status;
}

static int compare_labels(const void *a, const void *b)
{
    const series_item *x = a, *y = b;
    const long long m = atoll(x->label), n = atoll(y->label);
    if (m != n)
        return m < n ? -1 : 1;
    const int order = strcmp(x->uid, y->uid);
    return order ? order : strcmp(x->path ? x->path : "", y->path ? y->path : "");
}

/* Several of one number get letters: 7, 7b, 7c. */
static void label_items(series_list *l)
{
    qsort(l->items, l->count, sizeof *l->items, compare_labels);
    for (size_t i = 0, same = 0; i < l->count; i++) {
        char *label = l->items[i].label;
        same = i && atoll(label) == atoll(l->items[i - 1].label) ? same + 1 : 0;
        const long long number = atoll(label);
        if (same == 0)
            snprintf(label, sizeof l->items[i].label, "%lld", number);
        else if (same < 26)
            snprintf(label, sizeof l->items[i].label, "%lld%c", number, (char)('a' + same));
        else
            snprintf(label, sizeof l->items[i].label, "%lld-%zu", number, same + 1);
    }
}

static ts_status list_series(const found_files *f, const bool *keep, series_list *l,
                             ts_error *error)
{
    for (size_t i = 0; i < f->dicom.count; i++) {
        const dicom_header *h = &f->headers[i];
        series_item *s = keep[i] ? find_uid(l, h->series_uid, strlen(h->series_uid)) : NULL;
        if (!keep[i])
            continue;
        if (!s && !(s = add_item(l, error)))
            return TS_MEMORY;
        if (!s->uid[0])
            take_header(s, h);
        if (!s->facts.description[0])
            snprintf(s->facts.description, sizeof s->facts.description, "%s", h->description);
        if (!s->facts.image_type[0])
            snprintf(s->facts.image_type, sizeof s->facts.image_type, "%s", h->image_type);
    }
    return TS_OK;
}

static ts_status read_converted(series_list *l, const char *out, ts_error *error)
{
    string_list names = {0};
    ts_status status = directory_list(out, &names, error);
    for (size_t i = 0; status == TS_OK && i < names.count; i++)
        if (volume_extension(names.items[i]))
            status = add_converted(l, out, names.items[i], error);
    string_list_free(&names);
    return status;
}

static void judge_items(series_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        series_item *s = &l->items[i];
        s->verdict = series_classify(&s->facts);
        if (s->path || s->verdict.kind == SERIES_ASIDE)
            continue;
        s->verdict = (series_verdict){.kind = SERIES_ASIDE};
        snprintf(s->verdict.why, sizeof s->verdict.why, "dcm2niix could not convert it");
    }
}

static ts_status read_dicom(const char *folder, const series_pick *pick, const char *scratch,
                            found_files *f, series_list *l, ts_error *error)
{
    char *in = path_join(scratch, "in", error), *out = path_join(scratch, "out", error);
    char *log = path_join(scratch, "log", error);
    bool *keep = memory_allocate(f->dicom.count, sizeof *keep, "the files", error);
    ts_status status = in && out && log && keep ? TS_OK : TS_MEMORY;
    if (status != TS_OK)
        goto end;
    status = found_keep(f, folder, pick, keep, error);
    if (status == TS_OK)
        status = list_series(f, keep, l, error);
    if (status == TS_OK)
        status = link_files(f, keep, in, error);
    if (status == TS_OK)
        status = convert(in, out, log, folder, error);
    if (status == TS_OK)
        status = read_converted(l, out, error);
    if (status != TS_OK)
        goto end;
    label_items(l);
    judge_items(l);
    for (size_t i = 0; i < l->count; i++)
        for (size_t k = 0; k < f->dicom.count; k++)
            if (keep[k] &&
                (k == 0 || strcmp(f->headers[k].patient_id, f->headers[k - 1].patient_id) ||
                 strcmp(f->headers[k].patient_name, f->headers[k - 1].patient_name))) {
                hide(l->items[i].facts.description, f->headers[k].patient_name);
                hide(l->items[i].facts.description, f->headers[k].patient_id);
            }
end:
    free(keep);
    free(in);
    free(out);
    free(log);
    return status;
}

/* ---- NIfTI files ------------------------------------------------------------------------------ */

/* "sub-01_ses-2_T1w" is called "T1w" when it is judged: "sub" is another word there. */
static const char *without_subject(const char *name)
{
    while (!strncmp(name, "sub-", 4) || !strncmp(name, "ses-", 4)) {
        const char *next = strchr(name, '_');
        if (!next)
            break;
        name = next + 1;
    }
    return name;
}

static ts_status add_nifti(series_list *l, const char *root, const char *path, ts_error *error)
{
    series_item *s = add_item(l, error);
    if (!s)
        return TS_MEMORY;
    const char *name = string_file_name(path), *below = path + strlen(root);
    below += strspn(below, "/");
    const size_t stem = strlen(path) - volume_extension(path);
    snprintf(s->label, sizeof s->label, "%s", below);
    s->path = strdup(path);
    char *sidecar = string_format("%.*s.json", (int)stem, path);
    char *values = string_format("%.*s.bval", (int)stem, path);
    ts_status status = s->path && sidecar && values ? TS_OK : out_of_memory(error);
    if (status == TS_OK && strlen(below) >= sizeof s->label)
        status = error_set(error, TS_BAD_INPUT, "'%s': the name is too long to be chosen by", path);
    if (status == TS_OK)
        status = read_grid(s, error);
    if (status == TS_OK && file_exists(sidecar))
        status = series_read_sidecar(sidecar, &s->facts, error);
    if (status == TS_OK && file_exists(values))
        s->facts.diffusion = true;
    /* the file's name counts too: BIDS says T1w and ce-gadolinium there */
    const size_t n = strlen(s->facts.description);
    const int letters =
        (int)(strlen(name) - volume_extension(name) - (size_t)(without_subject(name) - name));
    snprintf(s->facts.description + n, sizeof s->facts.description - n, "%s%.*s", n ? " " : "",
             letters, without_subject(name));
    free(sidecar);
    free(values);
    return status;
}

/* "sub-01" of a path, or "" */
static void subject_of(const char *path, char out[DICOM_TEXT])
{
    const char *at = strstr(path, "sub-");
    out[0] = '\0';
    if (at && (at == path || at[-1] == '/'))
        snprintf(out, DICOM_TEXT, "%.*s", (int)(strcspn(at, "_/.") < 60 ? strcspn(at, "_/.") : 60),
                 at);
}

static ts_status check_subjects(const char *folder, const found_files *f, ts_error *error)
{
    char first[DICOM_TEXT] = "", next[DICOM_TEXT];
    for (size_t i = 0; i < f->nifti.count; i++) {
        subject_of(f->nifti.items[i] + strlen(folder), next);
        if (next[0] && first[0] && strcmp(first, next) != 0)
            return error_set(
                error, TS_BAD_INPUT,
                "'%s' holds images of several subjects (sub-...): give the folder of one", folder);
        if (next[0])
            snprintf(first, sizeof first, "%s", next);
    }
    return TS_OK;
}

static ts_status read_nifti(const char *folder, const found_files *f, series_list *l,
                            ts_error *error)
{
    ts_status status = check_subjects(folder, f, error);
    for (size_t i = 0; status == TS_OK && i < f->nifti.count; i++)
        status = add_nifti(l, folder, f->nifti.items[i], error);
    if (status == TS_OK)
        judge_items(l);
    return status;
}

/* ---- both ------------------------------------------------------------------------------------- */

ts_status series_read(const char *folder, const series_pick *pick, const char *scratch,
                      series_list *out, ts_error *error)
{
    found_files f;
    *out = (series_list){0};
    ts_status status = found_read(folder, &f, error);
    if (status != TS_OK)
        goto end;
    if (f.dicom.count && f.nifti.count)
        status =
            error_set(error, TS_BAD_INPUT,
                      "'%s' holds %zu images of DICOM and %zu of NIfTI: give a folder with one "
                      "kind",
                      folder, f.dicom.count, f.nifti.count);
    else if (!f.dicom.count && !f.nifti.count)
        status = error_set(error, TS_BAD_INPUT,
                           "'%s' holds no image, neither DICOM nor NIfTI (.nii, .nii.gz)%s", folder,
                           f.other_objects ? ": its DICOM files have no pixels, or are cut" : "");
    else if (!f.dicom.count && (pick->patient || pick->study))
        status = error_set(error, TS_BAD_INPUT,
                           "--%s is for folders of DICOM: the NIfTI files in '%s' do not say it",
                           pick->patient ? "patient" : "study", folder);
    if (status != TS_OK)
        goto end;
    out->dicom = f.dicom.count > 0;
    if (f.cut)
        warn("%zu DICOM files of '%s' end before their pixels, or are packed as a whole: they are "
             "left out",
             f.cut, folder);
    status = out->dicom ? read_dicom(folder, pick, scratch, &f, out, error)
                        : read_nifti(folder, &f, out, error);
end:
    found_free(&f);
    return status;
}

void series_list_free(series_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].path);
    free(l->items);
    *l = (series_list){0};
}
