/* The linear assignment problem by shortest augmenting paths (Crouse, "On implementing 2D
 * rectangular assignment algorithms", 2016), in the order of steps of scipy's rectangular_lsap:
 * where several assignments cost the same, the one found is that of scipy, and so of Panoptica. */
#include "evaluate/scoring.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    const double *cost; /* [rows][columns] */
    int64_t rows, columns;
    double *row_dual, *column_dual, *path_cost; /* path_cost: cheapest way to a column so far */
    int64_t *row_of_column, *path, *remaining;  /* -1: free; path: the row before a column on it */
    int64_t *column_of_row;
    bool *row_seen, *column_seen;
} assignment;

/* Cheapest path from a row to a column that is still free; *length its cost. */
static int64_t find_path(assignment *a, int64_t row, double *length)
{
    int64_t left = a->columns;
    *length = 0;
    for (int64_t k = 0; k < a->columns; k++) {
        a->remaining[k] = a->columns - k - 1;
        a->path_cost[k] = HUGE_VAL;
        a->column_seen[k] = false;
    }
    for (int64_t k = 0; k < a->rows; k++)
        a->row_seen[k] = false;
    for (;;) {
        int64_t chosen = -1;
        double lowest = HUGE_VAL;
        a->row_seen[row] = true;
        for (int64_t k = 0; k < left; k++) {
            const int64_t j = a->remaining[k];
            const double there =
                *length + a->cost[row * a->columns + j] - a->row_dual[row] - a->column_dual[j];
            if (there < a->path_cost[j]) {
                a->path[j] = row;
                a->path_cost[j] = there;
            }
            /* of equal ones a free column, which ends the path */
            if (a->path_cost[j] < lowest ||
                (a->path_cost[j] == lowest && a->row_of_column[j] < 0)) {
                lowest = a->path_cost[j];
                chosen = k;
            }
        }
        const int64_t j = a->remaining[chosen];
        *length = lowest;
        a->column_seen[j] = true;
        if (a->row_of_column[j] < 0)
            return j;
        row = a->row_of_column[j];
        a->remaining[chosen] = a->remaining[--left];
    }
}

static void assign_row(assignment *a, int64_t row)
{
    double length;
    int64_t column = find_path(a, row, &length), at = -1;
    a->row_dual[row] += length;
    for (int64_t i = 0; i < a->rows; i++)
        if (a->row_seen[i] && i != row)
            a->row_dual[i] += length - a->path_cost[a->column_of_row[i]];
    for (int64_t j = 0; j < a->columns; j++)
        if (a->column_seen[j])
            a->column_dual[j] -= length - a->path_cost[j];
    while (at != row) {
        at = a->path[column];
        a->row_of_column[column] = at;
        const int64_t before = a->column_of_row[at];
        a->column_of_row[at] = column;
        column = before;
    }
}

ts_status assign_rows(const double *cost, int64_t rows, int64_t columns, int64_t *column_of_row,
                      ts_error *error)
{
    const size_t m = (size_t)rows, n = (size_t)columns;
    assignment a = {
        .cost = cost,
        .rows = rows,
        .columns = columns,
        .row_dual = memory_allocate(m, sizeof(double), "a matching", error),
        .column_dual = memory_allocate(n, sizeof(double), "a matching", error),
        .path_cost = memory_allocate(n, sizeof(double), "a matching", error),
        .row_of_column = memory_allocate(n, sizeof(int64_t), "a matching", error),
        .path = memory_allocate(n, sizeof(int64_t), "a matching", error),
        .remaining = memory_allocate(n, sizeof(int64_t), "a matching", error),
        .column_of_row = column_of_row,
        .row_seen = memory_allocate(m, sizeof(bool), "a matching", error),
        .column_seen = memory_allocate(n, sizeof(bool), "a matching", error),
    };
    const bool room = a.row_dual && a.column_dual && a.path_cost && a.row_of_column && a.path &&
                      a.remaining && a.row_seen && a.column_seen;
    for (int64_t j = 0; room && j < columns; j++)
        a.row_of_column[j] = -1;
    for (int64_t i = 0; room && i < rows; i++)
        column_of_row[i] = -1;
    for (int64_t i = 0; room && i < rows; i++)
        assign_row(&a, i);
    free(a.row_dual);
    free(a.column_dual);
    free(a.path_cost);
    free(a.row_of_column);
    free(a.path);
    free(a.remaining);
    free(a.row_seen);
    free(a.column_seen);
    return room ? TS_OK : TS_MEMORY;
}
