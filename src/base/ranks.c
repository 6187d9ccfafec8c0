/* One rank alone: what the program does unless it is built with MPI=1, and the library always. */
#include "base/base.h"

bool ranks_built(void)
{
    return false;
}

void ranks_begin(void)
{
}

void ranks_end(int status)
{
    (void)status;
}

void ranks_gather(float *all, int64_t own)
{
    (void)all;
    (void)own;
}

void ranks_broadcast(void *bytes, size_t size)
{
    (void)bytes;
    (void)size;
}

bool ranks_any(bool mine)
{
    return mine;
}

ts_status ranks_sum(float *values, int64_t total, ts_error *error)
{
    (void)values;
    (void)total;
    (void)error;
    return TS_OK;
}

int ranks_self(void)
{
    return 0;
}

int ranks_count(void)
{
    return 1;
}
