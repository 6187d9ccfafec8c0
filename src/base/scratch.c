/* A folder for other programs' files. It holds a patient's images, so none may stay behind: every
 * way out of a command removes it, and what a killed process left is removed by the next call.
 *
 * Its process holds a lock (flock) on it; the system drops the lock when the process ends, however
 * it ends. A folder whose lock is free has nobody any more. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char scratch_prefix[] = ".prepare-";

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *place)
{
    (void)s, (void)kind, (void)place;
    remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Removes the scratch folders whose process is gone. Where the file system has no locks, nobody can
 * tell, and they stay. */
static void remove_abandoned(const char *folder)
{
    string_list names;
    if (directory_list(folder, &names, NULL) != TS_OK)
        return;
    for (size_t i = 0; i < names.count; i++) {
        if (strncmp(names.items[i], scratch_prefix, strlen(scratch_prefix)))
            continue;
        char *path = path_join(folder, names.items[i], NULL);
        const int lock = path ? open_folder(path) : -1;
        if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
            remove_tree(path);
        if (lock >= 0)
            close(lock);
        free(path);
    }
    string_list_free(&names);
}

/* False: another call took the new folder for an abandoned one, before it was locked. */
static bool hold(scratch_folder *s)
{
    struct stat state;
    s->lock = open_folder(s->path);
    if (s->lock >= 0 && (flock(s->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
        fstat(s->lock, &state) == 0 && state.st_nlink > 0)
        return true;
    if (s->lock >= 0)
        close(s->lock);
    return false;
}

ts_status scratch_open(const char *folder, scratch_folder *s, ts_error *error)
{
    enum { TRIES = 8 };
    *s = (scratch_folder){.lock = -1};
    remove_abandoned(folder);
    for (int i = 0; i < TRIES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%sXXXXXX", scratch_prefix);
        s->path = path_join(folder, name, error);
        if (!s->path)
            return TS_MEMORY;
        if (mkdtemp(s->path) && hold(s))
            return TS_OK;
        free(s->path);
    }
    s->path = NULL;
    return error_set(error, TS_IO, "cannot create a folder in '%s'", folder);
}

void scratch_close(scratch_folder *s)
{
    if (!s->path)
        return;
    remove_tree(s->path);
    close(s->lock);
    free(s->path);
    *s = (scratch_folder){.lock = -1};
}
