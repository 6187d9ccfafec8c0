/* Checked allocation, and the search for bytes that are set. */
#include "base/base.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

bool size_multiply(size_t a, size_t b, size_t *product)
{
    size_t result;
    if (__builtin_mul_overflow(a, b, &result))
        return false;
    *product = result;
    return true;
}

/* Tensors are walked in many streams with strides of many kilobytes, which in pages of 4 KiB is a
 * walk through page tables. A wish: where it is not granted, all works as before. Only whole pages
 * within the array: an alignment to them would take another page. */
static void advise_huge_pages(void *memory, size_t bytes)
{
    const size_t page = (size_t)2 << 20, before = (page - (uintptr_t)memory % page) % page;
    if (bytes >= before + page)
        madvise((char *)memory + before, (bytes - before) / page * page, MADV_HUGEPAGE);
}

void memory_begin(void)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

void *memory_take(size_t count, size_t size, const char *what, ts_error *error)
{
    size_t bytes;
    void *memory = NULL;
    if (!size_multiply(count, size, &bytes) || bytes > SIZE_MAX - 64) {
        error_set(error, TS_MEMORY, "the size of %s (%zu x %zu bytes) overflows", what, count,
                  size);
        return NULL;
    }
    bytes = (bytes + 63) / 64 * 64 + (bytes == 0) * 64;
    /* Linux hands out more than it has: refuse with a sentence what would be killed later. */
    const size_t available = bytes >> 28 ? memory_available_bytes() : SIZE_MAX;
    if (bytes > available || posix_memalign(&memory, 64, bytes) != 0) {
        error_set(error, TS_MEMORY,
                  "%s needs %.1f MiB of memory, which this machine does not have free", what,
                  (double)bytes / 1048576);
        return NULL;
    }
    advise_huge_pages(memory, bytes);
    return memory;
}

void *memory_allocate(size_t count, size_t size, const char *what, ts_error *error)
{
    void *memory = memory_take(count, size, what, error);
    return memory ? memset(memory, 0, (count * size + 63) / 64 * 64) : NULL;
}

int64_t bytes_next_set(const uint8_t *bytes, int64_t begin, int64_t end)
{
    uint64_t eight = 0;
    while (begin + 8 <= end && (memcpy(&eight, bytes + begin, sizeof eight), eight == 0))
        begin += 8;
    while (begin < end && !bytes[begin])
        begin++;
    return begin;
}

bool bytes_are_zero(const void *bytes, size_t count)
{
    const uint8_t *b = bytes;
    return count == 0 || (b[0] == 0 && memcmp(b, b + 1, count - 1) == 0);
}
