/* The search for a rigid transform (private to align/). */
#ifndef TWINSEG_ALIGN_SEARCH_H
#define TWINSEG_ALIGN_SEARCH_H

#include "align/align.h"

/* How many levels, of 8, 4, 2 and 1 mm, are searched: all; what tells a failure; what an atlas of
 * 4 mm has. */
enum { SEARCH_POSE = 2, SEARCH_BACK = 3, SEARCH_ALL = 4 };

/* align_rigid by that many levels. */
ts_status rigid_search(const volume *fixed, const volume *moving, size_t levels, pool *p,
                       alignment *out, ts_error *error);

#endif
