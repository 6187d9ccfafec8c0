/* base: random numbers against Philox's known answers, order, memory, the pool, processors. */
#include "base/base.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Random123's kat_vectors, philox4x32-10, counter and key zero: 6627e8d5 e169c58d bc57ac4c
 * 9b00dbd8. */
static void test_philox_known_answer(void **state)
{
    (void)state;
    random_stream r = random_open(0, 0, 0, 0);
    const uint32_t expected[4] = {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u};
    for (int i = 0; i < 4; i++)
        assert_int_equal(random_u32(&r), expected[i]);
}

static void test_random_moments(void **state)
{
    (void)state;
    random_stream r = random_open(7, RANDOM_TEST, 1, 2);
    double sum = 0, squares = 0;
    int64_t counts[5] = {0};
    for (int i = 0; i < 100000; i++) {
        const double x = random_normal(&r);
        sum += x;
        squares += x * x;
        counts[random_below(&r, 5)]++;
    }
    assert_true(sum / 1e5 > -0.015 && sum / 1e5 < 0.015);
    assert_true(squares / 1e5 > 0.98 && squares / 1e5 < 1.02);
    for (int i = 0; i < 5; i++)
        assert_in_range(counts[i], 19500, 20500);
}

static void test_size_overflow(void **state)
{
    (void)state;
    size_t product = 3;
    ts_error e;
    assert_false(size_multiply(SIZE_MAX / 2, 3, &product));
    assert_int_equal(product, 3);
    assert_null(memory_allocate(SIZE_MAX / 2, 3, "a test", &e));
    assert_int_equal(e.status, TS_MEMORY);
    assert_null(memory_allocate(1, SIZE_MAX / 4, "a test", &e));
    assert_non_null(strstr(e.text, "a test needs"));
}

/* numpy.quantile([1, 2, 4, 8], 0.4) is 2.4; medians of even and odd counts. */
static void test_order(void **state)
{
    (void)state;
    double d[] = {8, 1, 4, 2}, odd[] = {3, 1, 2};
    float f[] = {8, 1, 4, 2};
    assert_true(median_of_doubles(d, 4) == 3 && median_of_doubles(odd, 3) == 2);
    assert_true(isnan(median_of_doubles(d, 0)) && isnan(quantile_of_doubles(d, 0, 0.5)));
    sort_floats(f, 4);
    for (int i = 0; i < 4; i++)
        assert_true(d[i] == 1 << i && f[i] == (float)(1 << i));
    assert_true(fabs(quantile_of_doubles(d, 4, 0.4) - 2.4) < 1e-15);
    assert_true(quantile_of_floats(f, 4, 0.4) == quantile_of_doubles(d, 4, 0.4));
    assert_true(quantile_of_doubles(d, 4, 0) == 1 && quantile_of_doubles(d, 4, 1) == 8);
    assert_true(quantile_of_floats(f, 1, 0.7) == 1);
    d[3] = INFINITY;
    assert_true(isinf(quantile_of_doubles(d, 4, 1)));
}

static void add_index(void *context, int64_t index, int thread)
{
    (void)thread;
    ((int64_t *)context)[index] += index;
}

/* Also with many more threads than processors. */
static void test_pool(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 3, 64};
    for (size_t k = 0; k < COUNT_OF(counts); k++) {
        ts_error e;
        pool *p;
        int64_t sums[1000] = {0};
        assert_int_equal(pool_create(counts[k], &p, &e), TS_OK);
        assert_int_equal(pool_threads(p), counts[k]);
        for (int round = 0; round < 200; round++)
            pool_run(p, add_index, sums, 1000);
        for (int round = 0; round < 2000; round++)
            pool_run(p, add_index, sums, 3);
        pool_run(p, add_index, sums, 0);
        pool_destroy(p);
        for (int64_t i = 0; i < 1000; i++)
            assert_int_equal(sums[i], (i < 3 ? 2200 : 200) * i);
    }
}

typedef struct {
    atomic_llong first[2]; /* that each thread took; -1: none yet */
} first_taken;

/* No thread goes on before both have begun. */
static void note_first(void *context, int64_t index, int thread)
{
    first_taken *f = context;
    long long none = -1;
    atomic_compare_exchange_strong(&f->first[thread], &none, index);
    while (atomic_load(&f->first[0]) < 0 || atomic_load(&f->first[1]) < 0)
        sched_yield();
}

/* Each of two threads begins with a half of the indices of its own. */
static void test_pool_ranges(void **state)
{
    (void)state;
    if (processor_count() < 2) {
        printf("skip - test_pool_ranges: one processor alone\n");
        return;
    }
    ts_error e;
    pool *p;
    first_taken f = {{-1, -1}};
    assert_int_equal(pool_create(2, &p, &e), TS_OK);
    pool_run(p, note_first, &f, 101);
    pool_destroy(p);
    assert_int_equal(atomic_load(&f.first[0]), 0);
    assert_int_equal(atomic_load(&f.first[1]), 50);
}

typedef struct {
    int64_t told, sums[7];
    bool orderly;
} watched;

/* Told of an index after it has run, all before in their order. */
static void watch(void *context, int64_t index, int64_t count, double seconds)
{
    watched *w = context;
    w->orderly = w->orderly && count == 7 && index == w->told % 7 && seconds >= 0 &&
                 w->sums[index] == (w->told / 7 + 1) * index;
    w->told++;
}

static void test_pool_observed(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        ts_error e;
        pool *p;
        watched w = {.orderly = true};
        assert_int_equal(pool_create(threads, &p, &e), TS_OK);
        pool_observe(p, watch, &w);
        pool_run(p, add_index, w.sums, 7);
        pool_run(p, add_index, w.sums, 7);
        pool_observe(p, NULL, NULL);
        pool_run(p, add_index, w.sums, 7);
        pool_destroy(p);
        assert_true(w.orderly);
        assert_int_equal(w.told, 14);
        assert_int_equal(w.sums[6], 18);
    }
}

/* Indices 30, 60 and so on fail, the later the sooner. */
static ts_status fail_at_30(void *context, int64_t index, int thread, ts_error *error)
{
    (void)thread;
    ((char *)context)[index] = 1;
    if (index == 0 || index % 30)
        return TS_OK;
    usleep(index < 60 ? 2000 : 0);
    return error_set(error, index == 30 ? TS_IO : TS_BAD_INPUT, "index %d", (int)index);
}

static void test_pool_status(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        ts_error e = {0};
        pool *p;
        char ran[100] = {0};
        assert_int_equal(pool_create(threads, &p, &e), TS_OK);
        assert_int_equal(pool_run_status(p, fail_at_30, ran, 100, &e), TS_IO);
        assert_int_equal(e.status, TS_IO);
        assert_string_equal(e.text, "index 30");
        for (int i = 0; i <= 30; i++)
            assert_true(ran[i]);
        assert_int_equal(pool_run_status(p, fail_at_30, ran, 100, NULL), TS_IO);
        assert_int_equal(pool_run_status(p, fail_at_30, ran, 30, &e), TS_OK);
        pool_destroy(p);
    }
    char ran[100];
    assert_int_equal(pool_run_status(NULL, fail_at_30, ran, 100, NULL), TS_IO);
}

static ts_status fail_at_1(void *context, int64_t index, int thread, ts_error *error)
{
    (void)thread;
    (void)error;
    ((char *)context)[index] = 1;
    return index == 1 ? TS_IO : TS_OK;
}

/* Index 1 fails while the other thread has taken index 0 and not begun it: index 0 must run. No
 * task can force this order; of two million rounds it happens in some ten. */
static void test_pool_status_below(void **state)
{
    (void)state;
    ts_error e;
    pool *p;
    assert_int_equal(pool_create(2, &p, &e), TS_OK);
    for (int round = 0; round < 2000000; round++) {
        char ran[2] = {0};
        assert_int_equal(pool_run_status(p, fail_at_1, ran, 2, NULL), TS_IO);
        assert_true(ran[0]);
    }
    pool_destroy(p);
}

static void put(const char *folder, const char *name, const char *content)
{
    char *parent = path_join(folder, name, NULL);
    ts_error e;
    *strrchr(parent, '/') = '\0';
    assert_int_equal(directory_create(parent, &e), TS_OK);
    free(parent);
    char *path = path_join(folder, name, NULL);
    assert_int_equal(file_put(path, content, strlen(content), &e), TS_OK);
    free(path);
}

static void remove_tree(const char *folder)
{
    char *command = string_format("rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    free(command);
}

/* Quotas of a made tree of cgroups: of the process's own group and of those above it. */
static void test_processor_quota(void **state)
{
    (void)state;
    static const struct {
        const char *membership;
        int expected;
    } cases[] = {
        {"0::/job/step\n", 2},                           /* own 3.5, above 1.5 */
        {"0::/job\n", 2},                                /* 1.5 */
        {"0::/free\n", INT_MAX},                         /* "max" */
        {"0::/\n", INT_MAX},                             /* no file at the root */
        {"0::/job/unseen/by/a/container\n", 2},          /* the nearest above */
        {"5:cpu,cpuacct:/slurm\n0::/\n", 3},             /* v1 */
        {"5:cpuset:/slurm\n4:memory:/slurm\n", INT_MAX}, /* not the controller: nothing */
        {"5:cpu:/slurm/uid\n", 3},                       /* own -1, above 3 */
        {"", INT_MAX},
        {"nonsense\n:\n", INT_MAX},
    };
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    put(folder, "job/cpu.max", "150000 100000\n");
    put(folder, "job/step/cpu.max", "350000 100000\n");
    put(folder, "free/cpu.max", "max 100000\n");
    put(folder, "cpu/slurm/cpu.cfs_quota_us", "300000\n");
    put(folder, "cpu/slurm/cpu.cfs_period_us", "100000\n");
    put(folder, "cpu/slurm/uid/cpu.cfs_quota_us", "-1\n");
    put(folder, "cpu/slurm/uid/cpu.cfs_period_us", "100000\n");
    char *membership = path_join(folder, "membership", NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put(folder, "membership", cases[i].membership);
        assert_int_equal(processor_quota(membership, folder), cases[i].expected);
    }
    assert_int_equal(processor_quota("/nowhere", folder), INT_MAX);
    assert_true(processor_count() >= 1);
    free(membership);
    remove_tree(folder);
}

/* Memory limits of a made tree of cgroups; pages of files count as free. */
static void test_memory_quota(void **state)
{
    (void)state;
    static const struct {
        const char *membership;
        size_t expected;
    } cases[] = {
        {"0::/job/step\n", 700},                  /* own 9000 - 100, above 1000 - 800 + 500 */
        {"0::/job\n", 700},                       /* 1000 - 800 + 200 + 300 */
        {"0::/free\n", SIZE_MAX},                 /* "max" */
        {"0::/full\n", 0},                        /* more used than allowed */
        {"0::/\n", SIZE_MAX},                     /* no file at the root */
        {"0::/job/unseen/by/a/container\n", 700}, /* the nearest above */
        {"5:memory:/slurm/uid\n0::/\n", 60},      /* v1: 100 - 90 + 50 */
        {"5:cpu:/slurm\n", SIZE_MAX},             /* not the controller */
        {"5:cpu:/slurm\n4:memory:/slurm\n", 60},  /* after another */
        {"", SIZE_MAX},
    };
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    put(folder, "job/memory.max", "1000\n");
    put(folder, "job/memory.current", "800\n");
    put(folder, "job/memory.stat", "anon 300\ninactive_file 200\nactive_file 300\n");
    put(folder, "job/step/memory.max", "9000\n");
    put(folder, "job/step/memory.current", "100\n");
    put(folder, "free/memory.max", "max\n");
    put(folder, "free/memory.current", "100\n");
    put(folder, "full/memory.max", "100\n");
    put(folder, "full/memory.current", "120\n");
    put(folder, "memory/slurm/memory.limit_in_bytes", "100\n");
    put(folder, "memory/slurm/memory.usage_in_bytes", "90\n");
    put(folder, "memory/slurm/memory.stat", "inactive_file 7\ntotal_inactive_file 50\n");
    char *membership = path_join(folder, "membership", NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        put(folder, "membership", cases[i].membership);
        assert_int_equal(memory_quota(membership, folder), cases[i].expected);
    }
    assert_true(memory_available_bytes() > 0);
    assert_true(memory_peak_bytes() > 100000 && memory_peak_bytes() % 1024 == 0);
    free(membership);
    remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answer),
        cmocka_unit_test(test_random_moments),
        cmocka_unit_test(test_size_overflow),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_pool_ranges),
        cmocka_unit_test(test_pool_observed),
        cmocka_unit_test(test_pool_status),
        cmocka_unit_test(test_pool_status_below),
        cmocka_unit_test(test_processor_quota),
        cmocka_unit_test(test_memory_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
