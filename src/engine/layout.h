/* The layout of a tensor, and what the files of engine/ share.
 *
 * A *unit* is what one 32-bit element holds at a voxel: one channel in fp32, two channels (the even
 * one in the low half) in bf16, the last one of an odd count beside zeros. A unit's volume lies
 * flat with shared zero padding: rows of w + 1 elements (one pad column serves as the right edge of
 * its row and the left edge of the next), planes of h + 1 rows, d planes; a lead-in of at least
 * plane + row + 49 zeros before voxel (0, 0, 0), which also is the pad plane behind the unit before
 * (and what a vector reads beyond that). So the neighbour (kz, ky, kx) of *every* voxel lies at the
 * constant distance kz * plane + ky * row + kx, edges are not a special case, and a convolution
 * runs over the flat span d * plane of positions, pads included: (w + 1)(h + 1) / (w h) of the
 * work, 3 % at 64^3. What it computes at pads is overwritten with zeros.
 *
 *     [n][units] of { lead | span }, then one more lead;    lead, span: multiples of 16 elements */
#ifndef TWINSEG_ENGINE_LAYOUT_H
#define TWINSEG_ENGINE_LAYOUT_H

#include "engine/engine.h"

#include <string.h>

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t round_up(int64_t n, int64_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

#define CHANNELS_PER_UNIT(dtype) ((dtype) == DTYPE_BF16 ? 2 : 1)

static inline int64_t tensor_units(const tensor *t)
{
    const int per = CHANNELS_PER_UNIT(t->dtype);
    return (t->c + per - 1) / per;
}

/* Element 0 = voxel (0, 0, 0) of one unit's volume. */
static inline uint32_t *tensor_unit(const tensor *t, int64_t n, int64_t unit)
{
    return (uint32_t *)t->data + n * t->sample_stride + unit * t->unit_stride + t->lead;
}

static inline float bf16_to_float(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* Rounds to nearest, ties to even; NaN stays NaN. */
static inline uint16_t float_to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* One value of channel c; `unit` is its unit's volume, f the flat position. */
static inline float unit_get(const uint32_t *unit, compute_dtype dtype, int64_t c, int64_t f)
{
    float value;
    if (dtype == DTYPE_BF16)
        return bf16_to_float((uint16_t)(c & 1 ? unit[f] >> 16 : unit[f]));
    memcpy(&value, unit + f, sizeof value);
    return value;
}

static inline void unit_set(uint32_t *unit, compute_dtype dtype, int64_t c, int64_t f, float value)
{
    if (dtype == DTYPE_BF16) {
        const uint32_t bits = float_to_bf16(value);
        unit[f] = c & 1 ? (unit[f] & 0xffff) | bits << 16 : (unit[f] & 0xffff0000) | bits;
    } else {
        memcpy(unit + f, &value, sizeof value);
    }
}

struct engine {
    pool *threads;
    compute_dtype dtype;
    int target;
    const struct kernels *kernels; /* NULL for ref */
};

enum {
    TARGET_REF,
    TARGET_PORTABLE,
    TARGET_WASM,
    TARGET_NEON,
    TARGET_AVX2,
    TARGET_AVX512,
    TARGET_AVX512BF16,
    TARGETS
};

/* Units that hold so many channels. */
static inline int64_t units_of(const engine *e, int64_t channels)
{
    const int per = CHANNELS_PER_UNIT(e->dtype);
    return (channels + per - 1) / per;
}

/* Distance from a position to its neighbour at tap 0..26 of a 3x3x3 kernel. */
static inline int64_t tap_distance(const tensor *t, int tap)
{
    return (tap / 9 - 1) * t->plane + (tap / 3 % 3 - 1) * t->row + tap % 3 - 1;
}

#endif
