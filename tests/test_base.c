/* base: random numbers against Philox's known answers, files by rename, ini, numbers, the pool. */
#include "base/base.h"

#include <setjmp.h>
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

static void test_file_by_rename(void **state)
{
    (void)state;
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = string_format("%s/deep/er/file", folder),
         *parent = string_format("%s/deep/er", folder);
    ts_error e;
    file_writer w;
    assert_int_equal(file_begin(&w, path, &e), TS_IO); /* no such folder yet */
    assert_non_null(strstr(e.text, path));
    assert_int_equal(directory_create(parent, &e), TS_OK);
    assert_int_equal(file_begin(&w, path, &e), TS_OK);
    assert_int_equal(file_write(&w, "abc", 3, &e), TS_OK);
    assert_false(file_exists(path));
    file_abort(&w);
    string_list names;
    assert_int_equal(directory_list(parent, &names, &e), TS_OK);
    assert_int_equal(names.count, 0); /* an aborted file leaves nothing */
    string_list_free(&names);
    assert_int_equal(file_put(path, "abc", 3, &e), TS_OK);
    uint8_t *bytes;
    size_t count;
    assert_int_equal(file_get(path, 2, &bytes, &count, &e), TS_BAD_INPUT);
    assert_int_equal(file_get(path, 3, &bytes, &count, &e), TS_OK);
    assert_string_equal((char *)bytes, "abc");
    free(bytes);
    assert_int_equal(directory_create(path, &e), TS_IO); /* a file of that name */
    unlink(path);
    free(path);
    free(parent);
}

/* /dev/full answers every write with "no space left": the sentence names file and cause. */
static void test_full_disk(void **state)
{
    (void)state;
    ts_error e;
    file_writer w = {.stream = fopen("/dev/full", "wb"), .path = strdup("x.nii")};
    static char block[1 << 16];
    ts_status status = file_write(&w, block, sizeof block, &e);
    if (status == TS_OK)
        status = file_commit(&w, &e);
    assert_int_equal(status, TS_IO);
    assert_non_null(strstr(e.text, "cannot write 'x.nii': No space left"));
}

static void test_csv_fields(void **state)
{
    (void)state;
    static const char *const fields[] = {"case 1", "a,b", "6\" from 1", "two\nlines", ""};
    text t = {0};
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        text_append(&t, i ? "|" : "");
        text_append_field(&t, fields[i]);
    }
    assert_string_equal(t.data, "case 1|\"a,b\"|\"6\"\" from 1\"|\"two\nlines\"|");
    text_free(&t);
}

static ts_status collect(void *context, const char *section, const char *key, const char *value,
                         int line, ts_error *error)
{
    (void)error;
    text_append(context, "%s.%s=%s@%d;", section, key, value, line);
    return TS_OK;
}

static void test_ini(void **state)
{
    (void)state;
    ts_error e;
    text t = {0};
    const char good[] = "# c\na = 1\n\n[s t]\r\n b=x = y ; no comment here\n; c\nc =";
    assert_int_equal(ini_parse(good, sizeof good - 1, "f.ini", collect, &t, &e), TS_OK);
    assert_string_equal(t.data, ".a=1@2;s t.b=x = y ; no comment here@5;s t.c=@7;");
    text_free(&t);
    const char *const bad[] = {"[open", "no equals", "= 1", "[a] b"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(ini_parse(bad[i], strlen(bad[i]), "f.ini", collect, &t, &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, "'f.ini' line 1"));
    }
}

static void test_numbers(void **state)
{
    (void)state;
    double d;
    int64_t i;
    assert_true(parse_double("1e-3", &d) && d == 1e-3);
    assert_false(parse_double("1,5", &d) || parse_double("", &d) || parse_double("nan", &d) ||
                 parse_double("1x", &d) || parse_double(" 1", &d));
    assert_true(parse_integer("-42", &i) && i == -42);
    assert_false(parse_integer("1.0", &i) || parse_integer("99999999999999999999", &i));
}

static void add_index(void *context, int64_t index, int thread)
{
    (void)thread;
    ((int64_t *)context)[index] += index;
}

static void test_pool(void **state)
{
    (void)state;
    ts_error e;
    pool *p;
    static int64_t sums[1000];
    assert_int_equal(pool_create(3, &p, &e), TS_OK);
    for (int round = 0; round < 200; round++)
        pool_run(p, add_index, sums, 1000);
    pool_run(p, add_index, sums, 0);
    pool_destroy(p);
    for (int64_t i = 0; i < 1000; i++)
        assert_int_equal(sums[i], 200 * i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answer),
        cmocka_unit_test(test_random_moments),
        cmocka_unit_test(test_size_overflow),
        cmocka_unit_test(test_file_by_rename),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_csv_fields),
        cmocka_unit_test(test_ini),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
