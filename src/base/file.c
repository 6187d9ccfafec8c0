/* Files that appear by rename, memory maps, directories. */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- writing -------------------------------------------------------------------------------- */

/* X.tmp.PID.START.MACHINE names the writer, so that what a killed process left is recognised. */
static uint64_t machine_hash(const process_name *p)
{
    const uint64_t hash = hash_bytes(HASH_START, p->host, strlen(p->host) + 1);
    return hash_bytes(hash, p->machine, strlen(p->machine));
}

static char *name_temporary(const char *path)
{
    const process_name self = process_self();
    return string_format("%s.tmp.%lld.%lld.%08x", path, (long long)self.pid, (long long)self.start,
                         (unsigned)machine_hash(&self));
}

/* owner: what follows ".tmp." in the name. Of a process on another machine (or before a reboot, or
 * in a container that is gone) the file's age decides: nobody takes a day to write a file. */
static bool is_abandoned(int folder, const char *name, const char *owner)
{
    enum { DAY_SECONDS = 86400 };
    const process_name self = process_self();
    long long pid, start;
    unsigned machine;
    int length = 0;
    struct stat s;
    if (sscanf(owner, "%lld.%lld.%x%n", &pid, &start, &machine, &length) != 3 || owner[length])
        return false;
    if (machine == (unsigned)machine_hash(&self))
        return !process_lives(&(process_name){.pid = pid, .start = start});
    return fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW) == 0 &&
           time(NULL) - s.st_mtime > DAY_SECONDS;
}

/* Removes what killed processes left of this path. That it cannot be removed is not an error. */
static void remove_abandoned(const char *path)
{
    const char *name = string_file_name(path);
    const size_t length = strlen(name);
    char *folder = strndup(path, (size_t)(name - path));
    DIR *directory = folder ? opendir(*folder ? folder : ".") : NULL;
    for (struct dirent *d; directory && (d = readdir(directory));)
        if (!strncmp(d->d_name, name, length) && !strncmp(d->d_name + length, ".tmp.", 5) &&
            is_abandoned(dirfd(directory), d->d_name, d->d_name + length + 5))
            unlinkat(dirfd(directory), d->d_name, 0);
    if (directory)
        closedir(directory);
    free(folder);
}

/* A rename would put a file in the place of a device or a pipe (/dev/null, for root). */
static ts_status check_kind(const char *path, ts_error *error)
{
    struct stat s;
    if (stat(path, &s) != 0 || S_ISREG(s.st_mode))
        return TS_OK;
    return error_set(error, TS_BAD_INPUT,
                     S_ISDIR(s.st_mode) ? "'%s' is a folder: give the name of a file"
                                        : "'%s' is not a regular file: give the name of a file",
                     path);
}

ts_status file_begin(file_writer *w, const char *path, ts_error *error)
{
    *w = (file_writer){0};
    const ts_status status = check_kind(path, error);
    if (status != TS_OK)
        return status;
    w->path = strdup(path);
    char *temporary = name_temporary(path);
    if (!w->path || !temporary) {
        free(temporary);
        file_abort(w);
        return error_set(error, TS_MEMORY, "out of memory while opening '%s'", path);
    }
    remove_abandoned(path);
    w->stream = fopen(temporary, "wbe");
    if (!w->stream) {
        const int cause = errno;
        free(temporary);
        file_abort(w);
        return error_set(error, TS_IO, "cannot write '%s': %s", path, strerror(cause));
    }
    w->temporary = temporary;
    return TS_OK;
}

void file_abort(file_writer *w)
{
    if (w->stream)
        fclose(w->stream);
    if (w->temporary)
        unlink(w->temporary);
    free(w->path);
    free(w->temporary);
    *w = (file_writer){0};
}

static ts_status write_failed(file_writer *w, ts_error *error)
{
    const int cause = errno;
    const ts_status status = error_set(error, TS_IO, "cannot write '%s': %s",
                                       w->path ? w->path : "a file", strerror(cause));
    file_abort(w);
    return status;
}

ts_status file_write(file_writer *w, const void *bytes, size_t count, ts_error *error)
{
    if (!w->stream)
        return error_set(error, TS_IO, "a file was written to after an earlier failure");
    if (count && fwrite(bytes, 1, count, w->stream) != count)
        return write_failed(w, error);
    return TS_OK;
}

ts_status file_commit(file_writer *w, ts_error *error)
{
    if (!w->stream)
        return error_set(error, TS_IO, "a file was written to after an earlier failure");
    if (fflush(w->stream) != 0 || fsync(fileno(w->stream)) != 0)
        return write_failed(w, error);
    FILE *stream = w->stream;
    w->stream = NULL;
    if (fclose(stream) != 0 || rename(w->temporary, w->path) != 0)
        return write_failed(w, error);
    free(w->temporary);
    w->temporary = NULL;
    file_abort(w);
    return TS_OK;
}

ts_status file_try(const char *path, ts_error *error)
{
    file_writer w;
    const ts_status status = file_begin(&w, path, error);
    if (status == TS_OK)
        file_abort(&w);
    return status;
}

ts_status file_put(const char *path, const void *bytes, size_t count, ts_error *error)
{
    file_writer w;
    ts_status status = file_begin(&w, path, error);
    if (status != TS_OK)
        return status;
    status = file_write(&w, bytes, count, error);
    return status == TS_OK ? file_commit(&w, error) : status;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* Not blocking: a named pipe among the files of a data set would hold a thread for ever. */
static int open_for_reading(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static ts_status open_regular(const char *path, int *fd, struct stat *s, ts_error *error)
{
    *fd = open_for_reading(path);
    if (*fd < 0)
        return error_set(error, TS_IO, "cannot open '%s': %s", path, strerror(errno));
    if (fstat(*fd, s) == 0 && S_ISREG(s->st_mode))
        return TS_OK;
    close(*fd);
    return error_set(error, TS_IO, "cannot read '%s': it is not a regular file", path);
}

/* Up to size bytes; fewer where the file has become shorter meanwhile. */
static ts_status read_bytes(const char *path, int fd, uint8_t *bytes, size_t size, size_t *count,
                            ts_error *error)
{
    while (*count < size) {
        const ssize_t got = read(fd, bytes + *count, size - *count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, TS_IO, "cannot read '%s': %s", path, strerror(errno));
        if (got == 0)
            break;
        *count += (size_t)got;
    }
    return TS_OK;
}

ts_status file_get(const char *path, size_t limit, uint8_t **bytes, size_t *count, ts_error *error)
{
    struct stat s;
    int fd;
    *bytes = NULL;
    *count = 0;
    ts_status status = open_regular(path, &fd, &s, error);
    if (status != TS_OK)
        return status;
    if ((uint64_t)s.st_size > limit) {
        close(fd);
        return error_set(error, TS_BAD_INPUT, "'%s' has %lld bytes, more than the %zu expected",
                         path, (long long)s.st_size, limit);
    }
    *bytes = memory_allocate((size_t)s.st_size + 1, 1, path, error);
    status = *bytes ? read_bytes(path, fd, *bytes, (size_t)s.st_size, count, error) : TS_MEMORY;
    close(fd);
    if (status == TS_OK)
        return TS_OK;
    free(*bytes);
    *bytes = NULL;
    *count = 0;
    return status;
}

ts_status file_map_open(const char *path, file_map *map, ts_error *error)
{
    struct stat s;
    int fd;
    *map = (file_map){0};
    const ts_status status = open_regular(path, &fd, &s, error);
    if (status != TS_OK)
        return status;
    if (s.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        const int cause = errno;
        if (bytes == MAP_FAILED) {
            close(fd);
            return error_set(error, TS_IO, "cannot map '%s': %s", path, strerror(cause));
        }
        *map = (file_map){.bytes = bytes, .count = (size_t)s.st_size};
    }
    close(fd);
    return TS_OK;
}

void file_map_close(file_map *map)
{
    if (map->bytes)
        munmap((void *)(uintptr_t)map->bytes, map->count);
    *map = (file_map){0};
}

/* ---- names and folders ---------------------------------------------------------------------- */

bool file_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *path_join(const char *folder, const char *name, ts_error *error)
{
    char *path =
        string_format(*folder && string_ends(folder, "/") ? "%s%s" : "%s/%s", folder, name);
    if (!path)
        error_set(error, TS_MEMORY, "out of memory while naming '%s/%s'", folder, name);
    return path;
}

bool file_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

bool directory_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

bool file_stamp(const char *path, int64_t *bytes, int64_t *modified_ns)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return false;
    *bytes = s.st_size;
    *modified_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
    return true;
}

ts_status directory_create(const char *path, ts_error *error)
{
    char *copy = strdup(path);
    if (!copy)
        return error_set(error, TS_MEMORY, "out of memory while creating '%s'", path);
    ts_status status = TS_OK;
    for (char *at = copy; status == TS_OK && at;) {
        at = strchr(at + 1, '/');
        if (at)
            *at = '\0';
        if (*copy && mkdir(copy, 0777) != 0 && !(errno == EEXIST && directory_exists(copy)))
            status = error_set(error, TS_IO, "cannot create the folder '%s': %s", copy,
                               errno == EEXIST ? "a file of that name is there" : strerror(errno));
        if (at)
            *at = '/';
    }
    free(copy);
    return status;
}

ts_status string_list_add(string_list *list, const char *s, ts_error *error)
{
    char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (items)
        list->items = items;
    char *copy = items ? strdup(s) : NULL;
    if (!copy)
        return error_set(error, TS_MEMORY, "out of memory while listing names");
    list->items[list->count++] = copy;
    return TS_OK;
}

void string_list_free(string_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (string_list){0};
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

ts_status directory_list(const char *path, string_list *names, ts_error *error)
{
    *names = (string_list){0};
    DIR *directory = opendir(path);
    if (!directory)
        return error_set(error, TS_IO, "cannot list the folder '%s': %s", path, strerror(errno));
    ts_status status = TS_OK;
    for (struct dirent *d; status == TS_OK && (d = readdir(directory));)
        if (strcmp(d->d_name, ".") && strcmp(d->d_name, ".."))
            status = string_list_add(names, d->d_name, error);
    closedir(directory);
    if (status != TS_OK)
        string_list_free(names);
    else if (names->count)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    return status;
}
