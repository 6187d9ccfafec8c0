/* Claims on cells. */
#include "study/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { GENERATIONS = 16 };

/* What a lock file holds: a line of process_print. */
static bool owner_read(const char *path, process_name *owner)
{
    char line[PROCESS_LINE_BYTES];
    FILE *f = fopen(path, "re");
    const bool good = f && fgets(line, sizeof line, f) && process_parse(line, owner);
    if (f)
        fclose(f);
    return good;
}

/* now: a time of the same file server as the lock's. A lock that cannot be read is judged by its
 * age alone. */
static bool is_alive(const char *path, const process_name *self, time_t now, char holder[128])
{
    process_name owner;
    struct stat s;
    if (stat(path, &s) != 0)
        return false;
    if (!owner_read(path, &owner))
        owner = (process_name){.host = "an unknown machine"};
    snprintf(holder, 128, "pid %lld on %s", (long long)owner.pid, owner.host);
    if (process_same_machine(&owner, self))
        return process_lives(&owner);
    return now - s.st_mtime < LOCK_STALE_SECONDS;
}

static void name_of(const char *path, int generation, char *name, size_t size)
{
    snprintf(name, size, "%s.%d", path, generation);
}

/* Returns the generation above the highest that exists. *held: a lock other than `except` (may be
 * NULL) is alive; holder then names its process. */
static int look_around(const char *path, const process_name *self, time_t now, const char *except,
                       bool *held, char holder[128])
{
    int next = 0;
    *held = false;
    for (int g = 0; g < GENERATIONS; g++) {
        char name[4096], who[128];
        name_of(path, g, name, sizeof name);
        if (!file_exists(name) || (except && !strcmp(name, except)))
            continue;
        next = g + 1;
        if (is_alive(name, self, now, who)) {
            *held = true;
            memcpy(holder, who, sizeof who);
        }
    }
    return next;
}

static void remove_others(const char *path, const char *own)
{
    for (int g = 0; g < GENERATIONS; g++) {
        char name[4096];
        name_of(path, g, name, sizeof name);
        if (strcmp(name, own))
            unlink(name);
    }
}

/* Writes a file of our own beside the locks. Its time is the present one of the file server; it
 * becomes the lock by a link. */
static ts_status write_draft(const char *draft, const process_name *self, time_t *now,
                             ts_error *error)
{
    char line[PROCESS_LINE_BYTES];
    struct stat s;
    FILE *f = fopen(draft, "we");
    process_print(self, line);
    const bool good = f && fputs(line, f) >= 0;
    if ((f && fclose(f) != 0) || !good || stat(draft, &s) != 0)
        return error_set(error, TS_IO, "cannot write '%s': %s", draft, strerror(errno));
    *now = s.st_mtime;
    return TS_OK;
}

/* Links the draft as the lock of the next generation, and removes it again where another worker
 * has a lock too. */
static ts_status link_lock(const char *path, const char *draft, const process_name *self,
                           time_t now, cell_lock *out, char holder[128], ts_error *error)
{
    char name[4096];
    bool held;
    const int g = look_around(path, self, now, NULL, &held, holder);
    name_of(path, g, name, sizeof name);
    if (held)
        return TS_OK;
    snprintf(holder, 128, "a worker that came first");
    if (g >= GENERATIONS)
        return TS_OK;
    if (link(draft, name) != 0)
        return errno == EEXIST
                   ? TS_OK
                   : error_set(error, TS_IO, "cannot write '%s': %s", name, strerror(errno));
    look_around(path, self, now, name, &held, holder);
    if (held) {
        unlink(name);
        return TS_OK;
    }
    out->path = strdup(name);
    if (!out->path)
        return error_set(error, TS_MEMORY, "out of memory");
    remove_others(path, name);
    return TS_OK;
}

ts_status lock_claim(const char *path, cell_lock *out, char holder[128], ts_error *error)
{
    const process_name self = process_self();
    time_t now = 0;
    char draft[4096];
    *out = (cell_lock){NULL};
    snprintf(draft, sizeof draft, "%s.draft.%s.%lld", path, self.host, (long long)self.pid);
    ts_status status = write_draft(draft, &self, &now, error);
    if (status == TS_OK)
        status = link_lock(path, draft, &self, now, out, holder, error);
    unlink(draft);
    return status;
}

bool lock_beat(const cell_lock *l)
{
    return utimensat(AT_FDCWD, l->path, NULL, 0) == 0;
}

void lock_release(cell_lock *l)
{
    if (l->path)
        unlink(l->path);
    free(l->path);
    l->path = NULL;
}

bool lock_held(const char *path, char holder[128])
{
    const process_name self = process_self();
    bool held;
    look_around(path, &self, time(NULL), NULL, &held, holder);
    return held;
}
