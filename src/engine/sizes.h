/* Sizes that follow from registers and caches, each with the lines that derive it.
 *
 * What changes the order of sums is the same on every machine: for it caches are taken as 32 to
 * 48 KiB at the first level and 512 KiB to 1 MiB at the second. An element is 4 bytes: one fp32, or
 * two channels in bf16. */
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

/* Output channels in one call of multiply: their sums of a run, 64 * 96 floats, are 24 KiB. */
#define CHANNEL_GROUP 64

/* Positions that multiply takes with one block of terms: 2 register tiles of AVX-512, 4 of AVX2. The
 * weights of a tile of channels are read once for all of them. For each tile anew they would be 16
 * bytes for 12 multiply-adds of AVX2, from the second-level cache or, where a layer has 128 channels
 * and more, from the third. */
#define RUN (2 * TILE_POSITIONS)

/* Terms in a block: 4 units with 27 taps. For a run a unit's taps read 9 rows of 98 elements, which
 * are 7 lines each: 4 * 9 * 7 * 64 bytes = 16 KiB, half of the smallest first-level cache. They stay
 * there while all output channels pass over them, beside the weights of a tile of channels (2 or
 * 3 KiB), the sums, and what is prefetched. Sums do not depend on it: the next block goes on with
 * them. */
#define TERM_BLOCK (27 * 4)

/* The same for terms of phases, which read a row each: 72 * 7 * 64 bytes = 32 KiB. With half as many
 * AVX-512 loses 2 % to sums that are put aside, with 108 AVX2 loses 5 % to the second-level cache. */
#define PHASE_BLOCK 72

/* Terms in a block where they are widened to fp32 on the way, for one register tile: 2 units with 27
 * taps, 3 vectors for either half, 54 * 6 * 64 bytes = 20 KiB. */
#define WIDE_TERMS 54

/* Rows of a panel, a run of a strided layer each (strided.c), lie a vector further apart than a run
 * is long, so that the end of one may be written as a whole vector. */
#define RUN_STRIDE (RUN + 16)

/* Rows of a panel that all output channels pass over, 2 units with 27 taps: 54 * 112 * 4 bytes =
 * 24 KiB, which stay in the first-level cache. */
#define PANEL_ROWS 54

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
 * components of the inputs are 64 * 32 * 48 floats = 384 KiB. */
#define WINOGRAD_TILES 48

/* Output channels for which each component of the inputs, channels * 48 floats, is read into the
 * first-level cache once. Their sums are 64 * 32 * 48 floats = 384 KiB, written once and read once;
 * read for each tile of channels anew, inputs of 128 channels came from the third-level cache 32
 * times with AVX2. */
#define WINOGRAD_GROUP 32

/* Units of a tensor: net_layout allows 4096 channels. */
#define UNITS_MOST 4096

#endif
