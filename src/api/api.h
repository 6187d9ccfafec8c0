/* api: the functions of include/twinseg.h over the rooms; no rule of its own but the checks of what
 * a caller hands in. This header is what its files share. */
#ifndef TWINSEG_API_H
#define TWINSEG_API_H

#include "volume/volume.h"

/* Checks a caller's grid (extents whose product fits, sizes that are numbers) and makes a header of
 * it; *voxels: their number. */
ts_status api_header(const ts_grid *grid, volume_header *header, size_t *voxels, ts_error *error);

#endif
