/* provenance.json of a run folder: on what data and on which machines the run was made. It is a
 * file beside the models, not a part of them, so that equal runs give equal files on every
 * machine. */
#ifndef TWINSEG_TRAIN_PROVENANCE_H
#define TWINSEG_TRAIN_PROVENANCE_H

#include "train/cases.h"

/* Adds this session to FOLDER/provenance.json: version, time, machine, threads, kernel target, and
 * the step that it goes on from; the first session also notes a checksum of each preprocessed case.
 * A later session whose case differs says so by note(). */
ts_status provenance_add(const char *folder, const run_cases *cases, int64_t from_step, int threads,
                         const char *target, ts_error *error);

#endif
