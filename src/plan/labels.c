/* What a file's label values mean. METHOD 4: 1 NCR, 2 ED, and 4 (to 2021) or 3 (from 2023) ET; 2024
 * adds 4, the resection cavity, which is background here; MSD counts ED, NCR, ET. */
#include "plan/plan.h"

#include <string.h>

enum { BACKGROUND, NCR, ED, ET, RC, OUTSIDE = 255 };
enum { BLOCK = 4096 }; /* voxels looked at together */

/* The table of a map whose readings are settled: what values 0 to 4 become. BraTS to 2016 had 3 for
 * the non-enhancing core, which 2017 joined with 1. */
static void fill_table(label_map map, uint8_t table[256])
{
    static const uint8_t tables[][5] = {
        [LABELS_AUTO] = {BACKGROUND, NCR, ED, ET, ET},
        [LABELS_BRATS2021] = {BACKGROUND, NCR, ED, NCR, ET},
        [LABELS_BRATS2023] = {BACKGROUND, NCR, ED, ET, OUTSIDE},
        [LABELS_BRATS2024] = {BACKGROUND, NCR, ED, ET, BACKGROUND},
        [LABELS_MSD] = {BACKGROUND, ED, NCR, ET, OUTSIDE},
        [LABELS_CAVITY] = {BACKGROUND, NCR, ED, ET, RC},
    };
    memset(table, OUTSIDE, 256);
    memcpy(table, tables[map], sizeof tables[map]);
}

ts_status labels_map(uint8_t *labels, size_t count, label_map map, bool strict, const char *name,
                     ts_error *error)
{
    uint8_t table[256];
    bool present[256] = {false};
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t block = count - at < BLOCK ? count - at : BLOCK;
        if (!present[0] || !bytes_are_zero(labels + at, block))
            for (size_t i = at; i < at + block; i++)
                present[labels[i]] = true;
    }
    if (map == LABELS_AUTO && present[3] && present[4])
        return error_set(
            error, TS_BAD_INPUT,
            "'%s' holds both 3 and 4: is 4 the enhancing tumour and 3 the non-enhancing "
            "core (BraTS 2016 and earlier: labels=brats2021), or 3 the enhancing tumour "
            "and 4 the resection cavity (BraTS 2024: labels=brats2024)?",
            name);
    fill_table(map, table);
    for (int value = 0; strict && value < 256; value++)
        if (present[value] && table[value] == OUTSIDE)
            return error_set(
                error, TS_BAD_INPUT,
                "'%s' holds the label %d, which the reading of its labels does not know "
                "(set labels= to brats2021, brats2023, brats2024 or msd)",
                name, value);
    for (int value = 0; value < 256; value++)
        table[value] = table[value] == OUTSIDE ? BACKGROUND : table[value];
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t block = count - at < BLOCK ? count - at : BLOCK;
        if (!bytes_are_zero(labels + at, block)) /* 0 is background in every map */
            for (size_t i = at; i < at + block; i++)
                labels[i] = table[labels[i]];
    }
    return TS_OK;
}
