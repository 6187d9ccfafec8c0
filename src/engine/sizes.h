/* Sizes that follow from registers and caches, each with the lines that derive it.
 *
 * Caches are taken as 32 to 48 KiB at the first level and 1 MiB at the second, as server
 * processors have them since Skylake-SP and Zen 4. An element is 4 bytes: one fp32, or two
 * channels in bf16. */
#ifndef TWINSEG_ENGINE_SIZES_H
#define TWINSEG_ENGINE_SIZES_H

/* Positions of the largest register tile: 3 vectors of 16 (AVX-512). Those of AVX2, 24, and of 4
 * lanes, 12, divide it. */
#define TILE_POSITIONS 48

/* Flat positions that a task takes at most. A plane of 32 x 32, the smallest that gets chunks of
 * its own, has 32 rows of 33 positions, and up to 15 positions at either end up to multiples of
 * 16: 32 * 33 + 30 = 1086, in whole register tiles 23 * 48 = 1104. Eight channels of them in
 * fp32, what correlate holds while a term passes, are 35 KiB: they fit the first-level cache. */
#define CHUNK (23 * TILE_POSITIONS)
_Static_assert(CHUNK >= 32 * 33 + 30 && CHUNK < 32 * 33 + 30 + TILE_POSITIONS, "see above");

/* Chunks are split in steps of two register tiles. */
#define CHUNK_STEP (2 * TILE_POSITIONS)

/* Elements of the memory of a thread that a task fills and reads again: 800 KiB, which leaves room
 * for weights in a second-level cache of 1 MiB. */
#define LOCAL_ELEMENTS (200 * 1024)

/* A layer has at least so many tasks where it is large enough: they keep a few threads evenly
 * busy. */
#define TASKS_LEAST 16

/* Output channels in one call of multiply: their sums of a register tile, 64 * 48 floats, are
 * 12 KiB. */
#define CHANNEL_GROUP 64

/* Terms that multiply takes at a time, 8 units with 27 taps. For one register tile a unit's taps
 * read 9 rows of 50 elements, 4 to 5 lines each: 8 * 9 * 4.6 * 64 bytes = 21 KiB, which stay in
 * the first-level cache while all output channels pass over them. */
#define TERM_BLOCK (27 * 8)

/* The same where terms are widened to fp32 on the way: 2 units with 27 taps, 3 vectors for either
 * half, 54 * 6 * 64 bytes = 20 KiB. */
#define WIDE_TERMS 54

/* Values that correlate takes at least: a vector of 32 bf16. */
#define PLANE_STEP 32

/* Input channels whose terms make one task of a weight gradient: of a chunk they read 16 * 9
 * rows, or phases, which stay in the second-level cache while all channels of the task pass over
 * them. */
#define TERM_GROUP 16

/* Partial sums of a weight gradient, of a head's; of the layer alone, never of the threads. */
#define WEIGHT_PARTS 16
#define HEAD_PARTS   32

/* Planes, one below the other, for which a task widens bf16 (widen.c): of each channel it widens a
 * slice for each of them and two more. */
#define WIDENED_PLANES 32

/* Winograd's tiles in a task: 3 vectors of 16, those of the register tile. With 32 channels the 64
 * components of the inputs are 64 * 32 * 48 floats = 384 KiB, beside 64 * 8 * 48 floats = 96 KiB of
 * sums: within a second-level cache of 1 MiB. */
#define WINOGRAD_TILES 48

/* Units of a tensor: net_layout allows 4096 channels. */
#define UNITS_MOST 4096

#endif
