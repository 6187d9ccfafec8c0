/* Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011. Constants from the paper; tested against its known answers. */
#include "base/base.h"

#include <math.h>

static void philox(const uint32_t counter_in[4], const uint32_t key_in[2], uint32_t out[4])
{
    uint32_t c0 = counter_in[0], c1 = counter_in[1], c2 = counter_in[2], c3 = counter_in[3];
    uint32_t k0 = key_in[0], k1 = key_in[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Key: the seed. Counter: word 0 counts blocks of the stream, 1 to 3 name it. */
random_stream random_open(uint64_t seed, uint32_t purpose, uint32_t a, uint32_t b)
{
    return (random_stream){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, purpose, a, b},
        .used = 4,
    };
}

uint32_t random_u32(random_stream *r)
{
    if (r->used == 4) {
        philox(r->counter, r->key, r->block);
        r->counter[0]++;
        r->used = 0;
    }
    return r->block[r->used++];
}

/* 53 bits, as a double in [0, 1). */
static double random_unit(random_stream *r)
{
    const uint64_t high = random_u32(r) >> 5, low = random_u32(r) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

double random_uniform(random_stream *r, double low, double high)
{
    return low + (high - low) * random_unit(r);
}

/* Box-Muller, one of the pair: a draw always takes the same four words. */
double random_normal(random_stream *r)
{
    const double u = 1.0 - random_unit(r), angle = 6.283185307179586 * random_unit(r);
    return sqrt(-2.0 * log(u)) * cos(angle);
}

int64_t random_below(random_stream *r, int64_t n)
{
    const uint64_t range = (uint64_t)n, unfair = -range % range; /* 2^64 mod range */
    uint64_t bits;
    do
        bits = (uint64_t)random_u32(r) << 32 | random_u32(r);
    while (bits < unfair);
    return (int64_t)(bits % range);
}

bool random_chance(random_stream *r, double probability)
{
    return random_unit(r) < probability;
}

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ b[i]) * 0x100000001b3ull;
    return hash;
}
