/* A file in memory with a path, for readers that open by name. */
#ifndef TWINSEG_TESTS_FUZZ_MEMORY_FILE_H
#define TWINSEG_TESTS_FUZZ_MEMORY_FILE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Holds exactly these bytes until the next call. */
static inline const char *memory_file(const uint8_t *bytes, size_t count)
{
    static char path[64];
    static int file = -1;
    if (file < 0)
        file = memfd_create("fuzz", 0);
    if (file < 0 || ftruncate(file, (off_t)count) != 0 ||
        pwrite(file, bytes, count, 0) != (ssize_t)count)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return path;
}

#endif
