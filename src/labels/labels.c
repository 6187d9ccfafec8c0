/* The names of classes and regions. */
#include "labels/labels.h"

static const char ncr[] = "NCR", ed[] = "ED", et[] = "ET", rc[] = "RC";

const char *const label_names[LABELS + 1] = {"background", ncr, ed, et, rc};
const char *const region_names[REGIONS_ALL] = {"WT", "TC", et, ncr, ed, rc};
