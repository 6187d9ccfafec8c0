/* What names tell: of a file its modality and case, of a case its year and patient. */
#include "dataset/layout.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *word;
    int role;
} words[] = {
    {"t1", T1},          {"t1n", T1},          {"t1w", T1},
    {"t1ce", T1CE},      {"t1c", T1CE},        {"t1gd", T1CE},
    {"t1_ce", T1CE},     {"t1_gd", T1CE},      {"t1wce", T1CE},
    {"t2", T2},          {"t2w", T2},          {"flair", FLAIR},
    {"t2f", FLAIR},      {"t2flair", FLAIR},   {"t2_flair", FLAIR},
    {"seg", ROLE_TRUTH}, {"segm", ROLE_TRUTH}, {"segmentation", ROLE_TRUTH},
};

bool name_is_image(const char *name, size_t *stem)
{
    static const char *const endings[] = {".nii.gz", ".nii", ".hdr"};
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        if (string_ends_nocase(name, endings[i])) {
            *stem = strlen(name) - strlen(endings[i]);
            return *stem > 0;
        }
    return false;
}

static bool is_separator(char c)
{
    return c == '_' || c == '-' || c == '.' || c == ' ';
}

int name_role(const char *stem, size_t length, size_t *id_length)
{
    int role = ROLE_NONE;
    size_t best = 0;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        const size_t n = strlen(words[i].word);
        if (n <= best || n > length || strncasecmp(stem + length - n, words[i].word, n))
            continue;
        if (n < length && !is_separator(stem[length - n - 1]))
            continue;
        best = n;
        role = words[i].role;
    }
    size_t rest = length - best;
    while (rest > 0 && best > 0 && is_separator(stem[rest - 1]))
        rest--;
    *id_length = rest;
    return role;
}

bool dataset_name_is_modality(const char *stem)
{
    size_t ignored;
    const int role = name_role(stem, strlen(stem), &ignored);
    return role != ROLE_NONE && role != ROLE_TRUTH;
}

int name_modality(const char *name)
{
    char word[32];
    size_t n = 0, ignored;
    /* "T1-Gd", "T2 w" and "MRI_FLAIR" mean what their letters mean */
    for (; *name; name++)
        if (isalnum((unsigned char)*name)) {
            if (n + 1 >= sizeof word)
                return ROLE_NONE;
            word[n++] = (char)tolower((unsigned char)*name);
        }
    const char *start = n > 3 && !strncmp(word, "mri", 3) ? word + 3 : word;
    word[n] = '\0';
    const int role = name_role(start, strlen(start), &ignored);
    return role == ROLE_TRUTH ? ROLE_NONE : role;
}

static bool starts(const char *id, const char *prefix)
{
    return !strncasecmp(id, prefix, strlen(prefix));
}

/* "BraTS-GLI-00005-100": the place of the last '-', where three digits follow it and five digits
 * precede it; NULL for another spelling. */
static const char *visit(const char *id)
{
    const char *last = strrchr(id, '-');
    if (!starts(id, "BraTS-") || !last || last - id < 6 || strlen(last) != 4)
        return NULL;
    for (int i = 1; i <= 3; i++)
        if (!isdigit((unsigned char)last[i]))
            return NULL;
    for (int i = 1; i <= 5; i++)
        if (!isdigit((unsigned char)last[-i]))
            return NULL;
    return last;
}

/* The challenges that began with BraTS 2023 and the readings of their truths. In those that are
 * LABELS_AUTO no release has had a 4, so a 4 can only be the ET of a copy in the style of 2021. */
static const struct {
    const char *prefix;
    label_map labels;
    const char *layout;
} challenges[] = {
    {"BraTS-MEN-RT-", LABELS_GTV, "BraTS-MEN-RT"}, {"BraTS-MEN-", LABELS_AUTO, "BraTS-MEN"},
    {"BraTS-MET-", LABELS_BRATS2024, "BraTS-MET"}, {"BraTS-PED-", LABELS_PED_AUTO, "BraTS-PED"},
    {"BraTS-SSA-", LABELS_AUTO, "BraTS-SSA"},      {"BraTS-GoAT-", LABELS_AUTO, "BraTS-GoAT"},
};

static bool is_post_treatment(const char *id)
{
    const char *v = visit(id);
    return v && v[1] != '0' && starts(id, "BraTS-GLI-");
}

label_map name_labels(const char *id)
{
    for (size_t i = 0; i < COUNT_OF(challenges); i++)
        if (starts(id, challenges[i].prefix))
            return challenges[i].labels;
    return is_post_treatment(id) ? LABELS_BRATS2024 : LABELS_AUTO;
}

size_t name_patient(const char *id)
{
    const char *v = visit(id);
    return v ? (size_t)(v - id) : strlen(id);
}

const char *name_year(const char *id)
{
    static const struct {
        const char *prefix, *layout;
    } years[] = {
        {"Brats17_", "BraTS 2017"}, {"Brats18_", "BraTS 2018"},   {"BraTS19_", "BraTS 2019"},
        {"BraTS20_", "BraTS 2020"}, {"BraTS2021_", "BraTS 2021"},
    };
    for (size_t i = 0; i < COUNT_OF(years); i++)
        if (starts(id, years[i].prefix))
            return years[i].layout;
    for (size_t i = 0; i < COUNT_OF(challenges); i++)
        if (starts(id, challenges[i].prefix))
            return challenges[i].layout;
    if (is_post_treatment(id))
        return "BraTS 2024 post-treatment";
    return visit(id) ? "BraTS 2023" : NULL;
}

const char *name_known_case(const char *id, size_t length)
{
    static const char odd[] = "W39_1998.09.19";
    return length == sizeof odd - 1 && starts(id, odd) ? "BraTS20_Training_355" : NULL;
}

bool name_is_stray(const char *name)
{
    return name[0] == '.' || !strcmp(name, "__MACOSX");
}

bool name_is_image_folder(const char *name)
{
    static const char *const folders[] = {"imagesTr", "imagesTs", "imagesVal"};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        if (!strcmp(name, folders[i]))
            return true;
    return false;
}

label_map dataset_labels_by_name(const char *id)
{
    char name[256];
    size_t length;
    snprintf(name, sizeof name, "%s", string_file_name(id));
    if (name_is_image(name, &length)) {
        name_role(name, length, &length);
        name[length] = '\0';
    }
    return name_labels(name);
}
