/* lock: who works on a cell, told by files in a folder that machines may share.
 *
 * A claim is the exclusive creation (link, atomic over NFS too) of PATH.G, G counting up from 0
 * where locks of dead workers stand already. Whoever has created one looks at all others and
 * steps back where one of them is alive; so of two workers that find the same dead lock at most one
 * goes on. A lock is dead when its process is gone (same machine) or it has not been touched
 * for LOCK_STALE_SECONDS (another machine). */
#ifndef TWINSEG_STUDY_LOCK_H
#define TWINSEG_STUDY_LOCK_H

#include "base/base.h"

enum { LOCK_BEAT_SECONDS = 20, LOCK_STALE_SECONDS = 300 };

typedef struct {
    char *path; /* of our lock file; NULL: none */
} cell_lock;

/* *out->path is NULL where another worker holds the cell; holder then says who ("pid 12 on
 * host"). */
ts_status lock_claim(const char *path, cell_lock *out, char holder[128], ts_error *error);
/* Says that we are alive. False: our lock is gone, another worker took the cell for dead. */
bool lock_beat(const cell_lock *l);
void lock_release(cell_lock *l);
/* Is there a living claim? */
bool lock_held(const char *path, char holder[128]);

#endif
