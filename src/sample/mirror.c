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

/* One row of n elements; those of images are 4 bytes long, those of labels 1. */
static void reverse_row(void *row, int64_t n, size_t element)
{
    float *image = row;
    uint8_t *labels = row;
    for (int64_t i = 0, j = n - 1; i < j; i++, j--)
        if (element == sizeof *image) {
            const float kept = image[i];
            image[i] = image[j];
            image[j] = kept;
        } else {
            const uint8_t kept = labels[i];
            labels[i] = labels[j];
            labels[j] = kept;
        }
}

void mirror_patch(void *x, const int64_t shape[3], const bool mirror[3], size_t element)
{
    uint8_t *bytes = x;
    const size_t row = (size_t)shape[2] * element, plane = (size_t)shape[1] * row;
    if (mirror[0])
        reverse_blocks(x, shape[0], plane);
    for (int64_t z = 0; mirror[1] && z < shape[0]; z++)
        reverse_blocks(bytes + (size_t)z * plane, shape[1], row);
    for (int64_t i = 0; mirror[2] && i < shape[0] * shape[1]; i++)
        reverse_row(bytes + (size_t)i * row, shape[2], element);
}
