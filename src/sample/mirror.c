/* Mirroring of a patch in place: along w within each row, along h and d by exchanging rows. */
#include "sample/transform.h"

#include <string.h>

/* Exchanges memory piecewise, so that a row needs no buffer of its size. */
static void exchange(uint8_t *a, uint8_t *b, size_t bytes)
{
    uint8_t buffer[256];
    for (size_t at = 0; at < bytes; at += sizeof buffer) {
        const size_t length = bytes - at < sizeof buffer ? bytes - at : sizeof buffer;
        memcpy(buffer, a + at, length);
        memcpy(a + at, b + at, length);
        memcpy(b + at, buffer, length);
    }
}

/* n blocks of `bytes` in reverse order. */
static void reverse_blocks(void *x, int64_t n, size_t bytes)
{
    uint8_t *first = x, *last = first + (size_t)(n - 1) * bytes;
    for (; first < last; first += bytes, last -= bytes)
        exchange(first, last, bytes);
}

static void mirror_outer(void *x, const int64_t shape[3], const bool mirror[3], size_t element)
{
    const size_t row = (size_t)shape[2] * element, plane = (size_t)shape[1] * row;
    if (mirror[0])
        reverse_blocks(x, shape[0], plane);
    for (int64_t z = 0; mirror[1] && z < shape[0]; z++)
        reverse_blocks((uint8_t *)x + (size_t)z * plane, shape[1], row);
}

void mirror_floats(float *x, const int64_t shape[3], const bool mirror[3])
{
    mirror_outer(x, shape, mirror, sizeof *x);
    const int64_t rows = shape[0] * shape[1], n = shape[2];
    for (int64_t row = 0; mirror[2] && row < rows; row++, x += n)
        for (int64_t i = 0; i < n / 2; i++) {
            const float kept = x[i];
            x[i] = x[n - 1 - i];
            x[n - 1 - i] = kept;
        }
}

void mirror_labels(uint8_t *x, const int64_t shape[3], const bool mirror[3])
{
    mirror_outer(x, shape, mirror, sizeof *x);
    const int64_t rows = shape[0] * shape[1], n = shape[2];
    for (int64_t row = 0; mirror[2] && row < rows; row++, x += n)
        for (int64_t i = 0; i < n / 2; i++) {
            const uint8_t kept = x[i];
            x[i] = x[n - 1 - i];
            x[n - 1 - i] = kept;
        }
}
