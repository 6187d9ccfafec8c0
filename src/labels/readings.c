/* What a file's label values mean (docs/data.md, "Labels"): every reading once, and the values that
 * each reading gives to the program's own classes. */
#include "labels/labels.h"

#include <string.h>

enum {
    BACKGROUND = LABEL_BACKGROUND,
    NCR = LABEL_NCR,
    ED = LABEL_ED,
    ET = LABEL_ET,
    RC = LABEL_RC,
    OUTSIDE = 255
};
enum { BLOCK = 4096 }; /* voxels looked at together */
enum { VALUES = 5 };   /* no challenge has used more than 0 to 4 */

typedef struct {
    uint8_t classes[VALUES]; /* what values 0 to 4 become */
    uint8_t values[LABELS];  /* what background, NCR, ED and ET are written as */
    const char *name;        /* of the setting; NULL: no setting names this reading */
    const char *words;       /* for messages */
} reading;

/* BraTS to 2016 had 3 for the non-enhancing core, which 2017 joined with 1. BraTS-PED's solid (NET)
 * and cystic (CC) parts without enhancement are its tumour core less ET, so they are NCR here. */
static const reading readings[] = {
    [LABELS_AUTO] = {{BACKGROUND, NCR, ED, ET, ET}, {0, 1, 2, 3}, NULL, NULL},
    [LABELS_BRATS2021] = {{BACKGROUND, NCR, ED, NCR, ET},
                          {0, 1, 2, 4},
                          "brats2021",
                          "(1 NCR, 2 ED, 4 ET; to 2016, 3 NET)"},
    [LABELS_BRATS2023] = {{BACKGROUND, NCR, ED, ET, OUTSIDE},
                          {0, 1, 2, 3},
                          "brats2023",
                          "(1 NCR, 2 ED, 3 ET; BraTS-PED of 2023 too)"},
    [LABELS_BRATS2024] = {{BACKGROUND, NCR, ED, ET, BACKGROUND},
                          {0, 1, 2, 3},
                          "brats2024",
                          "(1 NCR, 2 ED, 3 ET, 4 resection cavity)"},
    [LABELS_MSD] = {{BACKGROUND, ED, NCR, ET, OUTSIDE}, {0, 2, 1, 3}, "msd", "(1 ED, 2 NCR, 3 ET)"},
    [LABELS_PED] = {{BACKGROUND, ET, NCR, NCR, ED},
                    {0, 2, 4, 1},
                    "brats-ped",
                    "(1 ET, 2 NET, 3 CC, 4 ED; BraTS-PED of 2024 and later)"},
    [LABELS_CAVITY] = {{BACKGROUND, NCR, ED, ET, RC}, {0, 1, 2, 3}, NULL, NULL},
    [LABELS_PED_AUTO] = {{BACKGROUND, ET, NCR, NCR, ED}, {0, 1, 2, 3}, NULL, NULL},
    [LABELS_OWN] = {{BACKGROUND, NCR, ED, ET, OUTSIDE}, {0, 1, 2, 3}, NULL, NULL},
    [LABELS_GTV] = {{BACKGROUND, OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE}, {0, 1, 2, 3}, NULL, NULL},
};
_Static_assert(COUNT_OF(readings) == LABEL_MAPS, "one reading a map");

/* How to name one of a set of maps, bit by bit, and each of them. */
static const char *print_readings(unsigned maps, char buffer[LABEL_SETTINGS])
{
    const char *between = "";
    int used = snprintf(buffer, LABEL_SETTINGS,
                        "labels=NAME (--labels NAME of evaluate, tune, picture and report), where "
                        "NAME is ");
    for (unsigned map = 0; map < LABEL_MAPS; map++)
        if (maps >> map & 1 && readings[map].name) {
            used += snprintf(buffer + used, LABEL_SETTINGS - (size_t)used, "%s%s %s", between,
                             readings[map].name, readings[map].words);
            between = ", ";
        }
    return buffer;
}

const char *labels_settings(char buffer[LABEL_SETTINGS])
{
    return print_readings(~0u, buffer);
}

const char *labels_name(label_map map)
{
    return readings[map].name ? readings[map].name : "auto";
}

const char *labels_words(label_map map)
{
    return readings[map].words ? readings[map].words : "(1 NCR, 2 ED, 3 or 4 ET)";
}

bool labels_same_values(label_map a, label_map b)
{
    return !memcmp(readings[a].values, readings[b].values, sizeof readings[a].values);
}

/* Which values 1 to 4 do not tell the reading of a map by itself; 0 where they do, else the
 * readings to choose from. */
static unsigned doubtful_readings(label_map map, const bool present[256])
{
    const unsigned ped = 1u << LABELS_PED, brats2021 = 1u << LABELS_BRATS2021;
    if (map == LABELS_AUTO && present[3] && present[4])
        return brats2021 | 1u << LABELS_BRATS2024 | ped;
    if (map == LABELS_PED_AUTO && !present[4] && (present[1] || present[2] || present[3]))
        return 1u << LABELS_BRATS2023 | ped;
    if (map == LABELS_OWN && present[4])
        return brats2021 | 1u << LABELS_BRATS2024 | ped;
    return 0;
}

/* The values of a volume against its reading; with strict, a value that the reading does not have
 * is an error. */
static ts_status check_values(label_map map, const bool present[256], bool strict, const char *name,
                              ts_error *error)
{
    char choices[LABEL_SETTINGS];
    const unsigned doubtful = doubtful_readings(map, present);
    if (doubtful)
        return error_set(error, TS_BAD_INPUT, "'%s' %s can be read in several ways: say how by %s",
                         name,
                         map == LABELS_AUTO       ? "holds the labels 3 and 4, which"
                         : map == LABELS_PED_AUTO ? "is of BraTS-PED by its name; its labels"
                                                  : "holds the label 4, which",
                         print_readings(doubtful, choices));
    for (int value = 1; value < 256; value++) {
        if (!present[value] || (value < VALUES && readings[map].classes[value] != OUTSIDE))
            continue;
        if (map == LABELS_GTV)
            return error_set(
                error, TS_BAD_INPUT,
                "'%s' outlines the target of radiotherapy (BraTS-MEN-RT: 1 GTV), which "
                "is not NCR, ED or ET: leave this truth out",
                name);
        if (strict)
            return error_set(error, TS_BAD_INPUT,
                             "'%s' holds the label %d, which the reading of its labels does not "
                             "know: say how to read it by %s",
                             name, value, labels_settings(choices));
    }
    return TS_OK;
}

ts_status labels_map(uint8_t *labels, size_t count, label_map map, bool strict, const char *name,
                     ts_error *error)
{
    uint8_t table[256] = {BACKGROUND};
    bool present[256] = {false};
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t block = count - at < BLOCK ? count - at : BLOCK;
        if (!present[0] || !bytes_are_zero(labels + at, block))
            for (size_t i = at; i < at + block; i++)
                present[labels[i]] = true;
    }
    const ts_status status = check_values(map, present, strict, name, error);
    if (status != TS_OK)
        return status;
    for (int value = 0; value < VALUES; value++) {
        const uint8_t class = readings[map].classes[value];
        table[value] = class == OUTSIDE ? BACKGROUND : class;
    }
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t block = count - at < BLOCK ? count - at : BLOCK;
        if (!bytes_are_zero(labels + at, block)) /* 0 is background in every map */
            for (size_t i = at; i < at + block; i++)
                labels[i] = table[labels[i]];
    }
    return TS_OK;
}

void labels_unmap(uint8_t *labels, size_t count, label_map map)
{
    const uint8_t *values = readings[map].values;
    for (size_t i = 0; i < count; i++)
        if (labels[i] <= ET)
            labels[i] = values[labels[i]];
}
