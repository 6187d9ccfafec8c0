/* Ranks over MPI: takes the place of ranks.c in a program that is built with MPI=1. */
#include "base/base.h"

#include <mpi.h>
#include <stdlib.h>

static int self, count = 1;
static bool initialised;

bool ranks_built(void)
{
    return true;
}

/* MPI is initialised only under a launcher: alone that costs a tenth of a second and may fail. */
void ranks_begin(void)
{
    static const char *const signs[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_SIZE"};
    int provided;
    bool launched = false;
    for (size_t i = 0; i < COUNT_OF(signs); i++)
        launched = launched || getenv(signs[i]);
    if (!launched || initialised)
        return;
    initialised = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) == MPI_SUCCESS;
    MPI_Comm_rank(MPI_COMM_WORLD, &self);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
}

void ranks_end(int status)
{
    if (!initialised)
        return;
    if (status)
        MPI_Abort(MPI_COMM_WORLD, status); /* the others wait for us */
    MPI_Finalize();
}

void ranks_gather(float *all, int64_t own)
{
    if (count > 1)
        MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all, (int)own, MPI_FLOAT, MPI_COMM_WORLD);
}

void ranks_broadcast(void *bytes, size_t size)
{
    if (count > 1)
        MPI_Bcast(bytes, (int)size, MPI_BYTE, 0, MPI_COMM_WORLD);
}

bool ranks_any(bool mine)
{
    int any = mine;
    if (count > 1)
        MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_LOR, MPI_COMM_WORLD);
    return any;
}

/* The slice of `total` values that rank r adds up. */
static void slice(int64_t total, int r, int *begin, int *length)
{
    *begin = (int)(total * r / count);
    *length = (int)(total * (r + 1) / count) - *begin;
}

/* Every rank gets one slice of all others, adds it in rank order, and gives the sums to all: twice
 * the values go over the network, whatever the number of ranks, and each sum is made once. */
ts_status ranks_sum(float *values, int64_t total, ts_error *error)
{
    int begin, length;
    if (count == 1)
        return TS_OK;
    slice(total, self, &begin, &length);
    int *begins = memory_allocate((size_t)count, 4 * sizeof(int), "the sum over ranks", error);
    float *slices =
        memory_allocate((size_t)count, (size_t)length * sizeof(float), "the sum over ranks", error);
    if (begins && slices) {
        int *lengths = begins + count, *places = lengths + count, *own = places + count;
        for (int r = 0; r < count; r++) {
            slice(total, r, &begins[r], &lengths[r]);
            places[r] = r * length;
            own[r] = length;
        }
        MPI_Alltoallv(values, lengths, begins, MPI_FLOAT, slices, own, places, MPI_FLOAT,
                      MPI_COMM_WORLD);
        for (int i = 0; i < length; i++) {
            float sum = slices[i];
            for (int r = 1; r < count; r++)
                sum += slices[r * (int64_t)length + i];
            values[begin + i] = sum;
        }
        MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values, lengths, begins, MPI_FLOAT,
                       MPI_COMM_WORLD);
    }
    const bool good = begins && slices;
    free(begins);
    free(slices);
    return good ? TS_OK : TS_MEMORY;
}

int ranks_self(void)
{
    return self;
}

int ranks_count(void)
{
    return count;
}
