/* Every edge between an inner and an outer pixel is walked once, the inside on the right hand.
 * Edges are kept as one bit per direction at the grid point where they start. */
#include "picture/contour.h"

#include <stdlib.h>

enum { EAST = 1, SOUTH = 2, WEST = 4, NORTH = 8 };

static bool inside(const uint8_t *mask, int width, int height, int x, int y)
{
    return x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x];
}

/* With y downwards and the inside on the right: above an inner pixel the walk goes east, on its
 * right side south, below it west, on its left side north. */
static void mark_edges(const uint8_t *mask, int width, int height, uint8_t *edges)
{
    const int stride = width + 1;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            if (!mask[y * width + x])
                continue;
            if (!inside(mask, width, height, x, y - 1))
                edges[y * stride + x] |= EAST;
            if (!inside(mask, width, height, x + 1, y))
                edges[y * stride + x + 1] |= SOUTH;
            if (!inside(mask, width, height, x, y + 1))
                edges[(y + 1) * stride + x + 1] |= WEST;
            if (!inside(mask, width, height, x - 1, y))
                edges[(y + 1) * stride + x] |= NORTH;
        }
}

/* Where two walks cross at a point (pixels that touch at a corner), turning right keeps to the
 * pixel that one came along. */
static uint8_t next_direction(uint8_t open, uint8_t came)
{
    static const uint8_t order[9][3] = {[EAST] = {SOUTH, EAST, NORTH},
                                        [SOUTH] = {WEST, SOUTH, EAST},
                                        [WEST] = {NORTH, WEST, SOUTH},
                                        [NORTH] = {EAST, NORTH, WEST}};
    for (int i = 0; i < 3; i++)
        if (open & order[came][i])
            return order[came][i];
    return 0;
}

ts_status contour_trace(const uint8_t *mask, int width, int height,
                        void (*loop)(void *context, const point *corners, size_t count),
                        void *context, ts_error *error)
{
    const int stride = width + 1;
    const size_t grid = (size_t)stride * (size_t)(height + 1);
    uint8_t *edges = memory_allocate(grid, 1, "an outline", error);
    point *corners = memory_allocate(2 * grid, sizeof *corners, "an outline", error);
    if (!edges || !corners) {
        free(edges);
        free(corners);
        return TS_MEMORY;
    }
    mark_edges(mask, width, height, edges);
    for (size_t start = 0; start < grid; start++) {
        while (edges[start]) {
            int x = (int)(start % (size_t)stride), y = (int)(start / (size_t)stride);
            uint8_t direction = (uint8_t)(edges[start] & -edges[start]);
            size_t count = 0;
            while (direction) {
                edges[y * stride + x] &= (uint8_t)~direction;
                const int dx = (direction == EAST) - (direction == WEST);
                const int dy = (direction == SOUTH) - (direction == NORTH);
                corners[count++] =
                    (point){(float)x + 0.5f * (float)dx, (float)y + 0.5f * (float)dy};
                x += dx;
                y += dy;
                direction = next_direction(edges[y * stride + x], direction);
            }
            loop(context, corners, count);
        }
    }
    free(edges);
    free(corners);
    return TS_OK;
}
