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

/* What a lock file holds. machine: host name, boot and process namespace; where it is ours, a look
 * into /proc says whether the process lives. */
typedef struct {
    char host[64], machine[192];
    long long pid,
        started; /* started: in clock ticks after boot, so that a reused pid is told apart */
} owner;

static bool read_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "r");
    const bool good = f && fgets(line, size, f);
    if (f)
        fclose(f);
    return good;
}

/* Field 22 of /proc/PID/stat, counted behind the name, which may hold spaces; -1: no such
 * process. */
static long long process_start(long long pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", pid);
    const char *at = read_line(path, line, sizeof line) ? strrchr(line, ')') : NULL;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : -1;
}

static void owner_self(owner *o)
{
    char boot[64] = "?", space[64] = "?";
    *o = (owner){.pid = getpid()};
    gethostname(o->host, sizeof o->host - 1);
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    boot[strcspn(boot, "\n")] = '\0';
    const ssize_t length = readlink("/proc/self/ns/pid", space, sizeof space - 1);
    space[length > 0 ? length : 1] = '\0';
    snprintf(o->machine, sizeof o->machine, "%s/%s", boot, space);
    o->started = process_start(o->pid);
}

static bool owner_read(const char *path, owner *o)
{
    char line[512];
    return read_line(path, line, sizeof line) &&
           sscanf(line, "%63s %191s %lld %lld", o->host, o->machine, &o->pid, &o->started) == 4;
}

/* now: a time of the same file server as the lock's. A lock that cannot be read is judged by its
 * age alone. */
static bool is_alive(const char *path, const owner *self, time_t now, char holder[128])
{
    owner o;
    struct stat s;
    if (stat(path, &s) != 0)
        return false;
    if (!owner_read(path, &o))
        o = (owner){.host = "an unknown machine"};
    snprintf(holder, 128, "pid %lld on %s", o.pid, o.host);
    if (!strcmp(o.machine, self->machine) && !strcmp(o.host, self->host))
        return process_start(o.pid) == o.started;
    return now - s.st_mtime < LOCK_STALE_SECONDS;
}

static void name_of(const char *path, int generation, char *name, size_t size)
{
    snprintf(name, size, "%s.%d", path, generation);
}

/* The generation above the highest that stands; *held: one of them is alive. except: of these
 * not. */
static int look_around(const char *path, const owner *self, time_t now, const char *except,
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

/* A file of our own beside the locks: its time is the server's now, its content becomes the
 * lock's. */
static ts_status write_draft(const char *draft, const owner *self, time_t *now, ts_error *error)
{
    struct stat s;
    FILE *f = fopen(draft, "w");
    const bool good = f && fprintf(f, "%s %s %lld %lld\n", self->host, self->machine, self->pid,
                                   self->started) > 0;
    if ((f && fclose(f) != 0) || !good || stat(draft, &s) != 0)
        return error_set(error, TS_IO, "cannot write '%s': %s", draft, strerror(errno));
    *now = s.st_mtime;
    return TS_OK;
}

ts_status lock_claim(const char *path, cell_lock *out, char holder[128], ts_error *error)
{
    owner self;
    time_t now = 0;
    bool held;
    char name[4096], draft[4096];
    *out = (cell_lock){NULL};
    owner_self(&self);
    snprintf(draft, sizeof draft, "%s.draft.%s.%lld", path, self.host, self.pid);
    ts_status status = write_draft(draft, &self, &now, error);
    if (status == TS_OK) {
        const int g = look_around(path, &self, now, NULL, &held, holder);
        name_of(path, g, name, sizeof name);
        if (!held && g < GENERATIONS && link(draft, name) == 0) {
            look_around(path, &self, now, name, &held, holder);
            if (held)
                unlink(name);
            else if (!(out->path = string_format("%s", name)))
                status = error_set(error, TS_MEMORY, "out of memory");
            else
                remove_others(path, name);
        } else if (!held && g < GENERATIONS && errno != EEXIST)
            status = error_set(error, TS_IO, "cannot write '%s': %s", name, strerror(errno));
        else if (!held)
            snprintf(holder, 128, "a worker that came first");
    }
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
    owner self;
    bool held;
    owner_self(&self);
    look_around(path, &self, time(NULL), NULL, &held, holder);
    return held;
}
