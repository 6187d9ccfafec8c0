/* libFuzzer target: gzip. The first byte says what becomes of the rest: 0, a gzip file as it
 * stands; else data that are packed into members (bits 0 and 1: 1 to 3 of them), with zeros behind
 * (bit 2), cut short (bit 3), with a wrong byte (bit 4) or with text behind all (bit 5). Whole
 * files must come back as they were, the text counted; spoilt ones must be refused, unless only the
 * padding was hit. */
#include "memory_file.h"
#include "volume/nifti.h"

#include <libdeflate.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

enum { MEMBERS = 3, PADDING = 4, CUT = 8, WRONG = 16, TEXT = 32, PADDING_BYTES = 7 };
static const char behind[] = "and text";

static size_t pack(const uint8_t *bytes, size_t count, size_t members, uint8_t **out)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(1);
    const size_t room =
        members * libdeflate_gzip_compress_bound(c, count) + PADDING_BYTES + sizeof behind;
    uint8_t *packed = calloc(room, 1);
    size_t used = 0;
    if (!c || !packed)
        abort();
    for (size_t m = 0; m < members; m++) {
        const size_t from = count * m / members, to = count * (m + 1) / members;
        used += libdeflate_gzip_compress(c, bytes + from, to - from, packed + used, room - used);
    }
    libdeflate_free_compressor(c);
    *out = packed;
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    nifti_bytes b;
    ts_error error = {0};
    const unsigned mode = count ? bytes[0] : 0;
    uint8_t *packed = NULL;
    size_t length = count ? count - 1 : 0;
    const uint8_t *data = bytes + (count > 0), *file = data;
    const size_t data_count = length;
    if (mode & MEMBERS) {
        length = pack(data, data_count, mode & MEMBERS, &packed);
        if (mode & WRONG)
            packed[length - 1 - data_count % 8] ^= 0x55; /* within the checksum and the length */
        if (mode & PADDING)
            length += PADDING_BYTES;
        if (mode & CUT)
            length -= PADDING_BYTES + 1;
        if ((mode & TEXT) && !(mode & CUT)) {
            memcpy(packed + length, behind, sizeof behind);
            length += sizeof behind;
        }
        file = packed;
    }
    const ts_status status = nifti_bytes_read(memory_file(file, length), &b, &error);
    if (status != TS_OK && !error.text[0])
        abort(); /* an error without a sentence */
    if (mode & MEMBERS) {
        const bool spoilt = mode & WRONG || mode & CUT;
        if (spoilt != (status != TS_OK))
            abort();
        if (!spoilt && (b.count != data_count || (data_count && memcmp(b.bytes, data, b.count))))
            abort();
        if (!spoilt && (b.ignored != 0) != ((mode & TEXT) != 0))
            abort();
    }
    if (status == TS_OK)
        nifti_bytes_free(&b);
    free(packed);
    return 0;
}
