/* Programs that a user has (private to align/): dcm2niix for DICOM, anything that cuts brains out. */
#ifndef TWINSEG_ALIGN_TOOLS_H
#define TWINSEG_ALIGN_TOOLS_H

#include "volume/volume.h"

/* The one series of a folder of DICOM as a volume, by dcm2niix; scratch: a folder to work in.
 * TS_STOPPED after an interrupt, which ends dcm2niix too. */
ts_status dicom_read(const char *folder, const char *scratch, volume *out, ts_error *error);

/* The voxels that the command keeps: {in} and {out} of it are replaced by quoted paths of NIfTI
 * files in scratch, then a shell runs it. image: [nz][ny][nx] of grid. mask: the same, owned,
 * free(). TS_STOPPED after an interrupt, which ends the command too. */
ts_status skull_strip(const char *command, const char *scratch, const volume_header *grid,
                      const float *image, uint8_t **mask, ts_error *error);

#endif
