/* Files that appear by rename, memory maps, directories. */
#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

ts_status file_begin(file_writer *w, const char *path, ts_error *error)
{
    *w = (file_writer){0};
    w->path = strdup(path);
    w->temporary = string_format("%s.tmp.%ld", path, (long)getpid());
    if (!w->path || !w->temporary) {
        file_abort(w);
        return error_set(error, TS_MEMORY, "out of memory while opening '%s'", path);
    }
    w->stream = fopen(w->temporary, "wb");
    if (!w->stream) {
        const int cause = errno;
        free(w->temporary);
        w->temporary = NULL;
        file_abort(w);
        return error_set(error, TS_IO, "cannot write '%s': %s", path, strerror(cause));
    }
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

ts_status file_print(file_writer *w, ts_error *error, const char *format, ...)
{
    if (!w->stream)
        return error_set(error, TS_IO, "a file was written to after an earlier failure");
    va_list list;
    va_start(list, format);
    const int length = vfprintf(w->stream, format, list);
    va_end(list);
    return length < 0 ? write_failed(w, error) : TS_OK;
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
    if (directory_exists(path))
        return error_set(error, TS_BAD_INPUT, "'%s' is a folder: give the name of a file", path);
    const ts_status status = file_begin(&w, path, error);
    if (status == TS_OK)
        file_abort(&w);
    return status;
}

ts_status file_put(const char *path, const void *bytes, size_t count, ts_error *error)
{
    file_writer w;
    ts_status status = file_begin(&w, path, error);
    if (status == TS_OK)
        status = file_write(&w, bytes, count, error);
    if (status == TS_OK)
        status = file_commit(&w, error);
    return status;
}

/* Not blocking: a named pipe among the files of a data set would hold a thread for ever. */
static int open_for_reading(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

ts_status file_get(const char *path, size_t limit, uint8_t **bytes, size_t *count, ts_error *error)
{
    struct stat s;
    *bytes = NULL;
    *count = 0;
    const int fd = open_for_reading(path);
    if (fd < 0)
        return error_set(error, TS_IO, "cannot open '%s': %s", path, strerror(errno));
    ts_status status = TS_OK;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
        status = error_set(error, TS_IO, "cannot read '%s': it is not a regular file", path);
    else if ((uint64_t)s.st_size > limit)
        status = error_set(error, TS_BAD_INPUT, "'%s' has %lld bytes, more than the %zu expected",
                           path, (long long)s.st_size, limit);
    size_t at = 0;
    const size_t size = status == TS_OK ? (size_t)s.st_size : 0;
    if (status == TS_OK && !(*bytes = memory_allocate(size + 1, 1, path, error)))
        status = TS_MEMORY;
    while (status == TS_OK && at < size) {
        const ssize_t got = read(fd, *bytes + at, size - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = error_set(error, TS_IO, "cannot read '%s': %s", path, strerror(errno));
        if (got <= 0)
            break;
        at += (size_t)got;
    }
    close(fd);
    if (status != TS_OK) {
        free(*bytes);
        *bytes = NULL;
        return status;
    }
    (*bytes)[at] = 0;
    *count = at;
    return TS_OK;
}

ts_status file_map_open(const char *path, file_map *map, ts_error *error)
{
    struct stat s;
    *map = (file_map){0};
    const int fd = open_for_reading(path);
    if (fd < 0)
        return error_set(error, TS_IO, "cannot open '%s': %s", path, strerror(errno));
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        close(fd);
        return error_set(error, TS_IO, "cannot read '%s': it is not a regular file", path);
    }
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

bool file_same(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
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
