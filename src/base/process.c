/* Which process is meant, whether it lives, and locks that die with their process. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- identity ------------------------------------------------------------------------------- */

static bool read_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "re");
    const bool good = f && fgets(line, size, f);
    if (f)
        fclose(f);
    return good;
}

/* Field 22 of /proc/PID/stat, counted behind the name, which may hold spaces: clock ticks from the
 * boot to the start of the process. -1: there is no such process. */
static int64_t process_start(int64_t pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    const char *at = read_line(path, line, sizeof line) ? strrchr(line, ')') : NULL;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : -1;
}

process_name process_self(void)
{
    char boot[64] = "?", space[64] = "?";
    process_name p = {.pid = getpid()};
    gethostname(p.host, sizeof p.host - 1);
    if (!p.host[0])
        snprintf(p.host, sizeof p.host, "?");
    read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    boot[strcspn(boot, "\n")] = '\0';
    const ssize_t length = readlink("/proc/self/ns/pid", space, sizeof space - 1);
    space[length > 0 ? length : 1] = '\0';
    snprintf(p.machine, sizeof p.machine, "%s/%s", boot, space);
    p.start = process_start(p.pid);
    return p;
}

void process_print(const process_name *p, char line[PROCESS_LINE_BYTES])
{
    snprintf(line, PROCESS_LINE_BYTES, "%s %s %lld %lld\n", p->host, p->machine, (long long)p->pid,
             (long long)p->start);
}

bool process_parse(const char *line, process_name *p)
{
    long long pid, start;
    *p = (process_name){0};
    if (sscanf(line, "%63s %191s %lld %lld", p->host, p->machine, &pid, &start) != 4)
        return false;
    p->pid = pid;
    p->start = start;
    return true;
}

bool process_same_machine(const process_name *a, const process_name *b)
{
    return !strcmp(a->machine, b->machine) && !strcmp(a->host, b->host);
}

bool process_lives(const process_name *p)
{
    const int64_t start = process_start(p->pid);
    return start >= 0 && start == p->start;
}

/* ---- locks ---------------------------------------------------------------------------------- */

/* For file systems without locks: does the process that the file names hold it? */
static bool held_by_content(const process_name *holder)
{
    const process_name self = process_self();
    return process_same_machine(holder, &self) && holder->pid != self.pid && process_lives(holder);
}

static bool is_unsupported(int cause)
{
    return cause == ENOLCK || cause == EOPNOTSUPP || cause == ENOSYS;
}

static bool read_holder(int fd, process_name *holder)
{
    char line[PROCESS_LINE_BYTES] = "";
    return pread(fd, line, sizeof line - 1, 0) > 0 && process_parse(line, holder);
}

/* An editor or `rm` may have put another file in the place of the one that is locked. */
static bool is_still_there(const char *path, int fd)
{
    struct stat a, b;
    return stat(path, &a) == 0 && fstat(fd, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static ts_status lock_failed(const char *path, int fd, ts_error *error)
{
    const int cause = errno;
    if (fd >= 0)
        close(fd);
    return error_set(error, TS_IO, "cannot lock '%s': %s", path, strerror(cause));
}

ts_status process_lock_take(const char *path, process_lock *out, process_name *holder,
                            ts_error *error)
{
    char line[PROCESS_LINE_BYTES];
    *out = (process_lock){.fd = -1};
    *holder = (process_name){.host = "an unknown machine"};
    for (int tries = 0; tries < 100; tries++) {
        const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
        if (fd < 0)
            return lock_failed(path, fd, error);
        const int cause = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
        if (cause && cause != EWOULDBLOCK && !is_unsupported(cause)) {
            errno = cause;
            return lock_failed(path, fd, error);
        }
        if (cause) {
            const bool known = read_holder(fd, holder);
            if (cause == EWOULDBLOCK || (known && held_by_content(holder))) {
                close(fd);
                return TS_OK;
            }
        }
        if (!is_still_there(path, fd)) {
            close(fd);
            continue;
        }
        const process_name self = process_self();
        process_print(&self, line);
        const size_t length = strlen(line);
        if (ftruncate(fd, 0) != 0 || pwrite(fd, line, length, 0) != (ssize_t)length)
            return lock_failed(path, fd, error);
        out->path = strdup(path);
        out->fd = fd;
        out->held = true;
        return TS_OK;
    }
    return error_set(error, TS_IO, "cannot lock '%s': others keep replacing it", path);
}

int folder_hold(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR)
        continue;
    return fd;
}

void folder_release(int hold)
{
    if (hold >= 0)
        close(hold);
}

void process_lock_release(process_lock *l)
{
    if (!l->held)
        return;
    if (l->path && is_still_there(l->path, l->fd))
        unlink(l->path); /* still locked: a process that has it open sees that it is gone */
    close(l->fd);
    free(l->path);
    *l = (process_lock){.fd = -1};
}
