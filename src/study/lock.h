/* lock: who works on a cell, recorded in a folder that machines may share. (base's process_lock
 * dies with its process, but relies on the file server's locks between machines; these claims need
 * links and times alone.)
 *
 * A claim is the exclusive creation (link, atomic over NFS too) of PATH.G, G counting up from 0
 * where locks of dead workers exist. A worker that has created one looks at all others and gives
 * way if one of them is alive; so of two workers that find the same dead lock at most one
 * continues. A lock is dead when its process is gone (same machine) or it has not been touched for
 * LOCK_STALE_SECONDS (another machine). */
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
/* Shows that we are alive. False: our lock is gone, another worker took the cell for dead. */
bool lock_beat(const cell_lock *l);
void lock_release(cell_lock *l);
/* Does a living process hold a claim? */
bool lock_held(const char *path, char holder[128]);

#endif
