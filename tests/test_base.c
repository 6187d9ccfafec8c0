/* base: random numbers against Philox's known answers, files by rename, text, ini and CSV, numbers,
 * the pool, processes and their locks. */
#include "base/base.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
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

static void test_csv_ids(void **state)
{
    (void)state;
    static const char *const ids[] = {"BraTS-1", "=1+1", "+2",    "-3",      "@sum",
                                      "\tx",     "\rx",  "'",     "'name",   "'=x",
                                      "''=x",    "''''", "a=b,c", "-4,\"5\""};
    text t = {0};
    text_append_id(&t, "=1+1");
    assert_string_equal(t.data, "'=1+1");
    text_free(&t);
    text_append(&t, "id\n");
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        text_append_id(&t, ids[i]);
        text_append(&t, "\n");
    }
    csv_table table;
    ts_error e;
    assert_int_equal(csv_parse(t.data, t.length, "f.csv", false, &table, &e), TS_OK);
    assert_int_equal(table.rows, COUNT_OF(ids));
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        assert_string_equal(csv_id(&table, i, 0), ids[i]);
    csv_free(&table);
    text_free(&t);
}

static void test_csv_table(void **state)
{
    (void)state;
    static const char good[] = "\xEF\xBB\xBF"
                               "case,dice,\"a \"\"b\"\"\"\r\n"
                               "\"x, y\",0.5,\r\n"
                               "\n"
                               "\"two\nlines\",,-1.5\n"
                               "cut,1";
    csv_table t;
    ts_error e;
    double value;
    assert_int_equal(csv_parse(good, sizeof good - 1, "f.csv", true, &t, &e), TS_OK);
    assert_int_equal(t.columns, 3);
    assert_int_equal(t.rows, 2);
    assert_int_equal(csv_column(&t, "case"), 0);
    assert_int_equal(csv_column(&t, "a \"b\""), 2);
    assert_int_equal(csv_column(&t, "none"), -1);
    assert_string_equal(csv_cell(&t, 0, 0), "x, y");
    assert_string_equal(csv_cell(&t, 1, 0), "two\nlines");
    assert_true(csv_number(&t, 0, 1, &value) && value == 0.5);
    assert_true(csv_number(&t, 1, 2, &value) && value == -1.5);
    assert_false(csv_number(&t, 1, 1, &value));
    assert_int_equal(t.lines[0], 2);
    assert_int_equal(t.lines[1], 4);
    csv_free(&t);
    assert_int_equal(csv_parse(good, sizeof good - 1, "f.csv", false, &t, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "'f.csv' line 6 has fewer cells than the 3 columns"));
    assert_int_equal(csv_parse("a,b\n1,", 6, "f.csv", false, &t, &e), TS_OK); /* no last newline */
    assert_string_equal(csv_cell(&t, 0, 1), "");
    csv_free(&t);
    assert_int_equal(csv_parse("", 0, "f.csv", false, &t, &e), TS_OK);
    assert_int_equal(t.columns + t.rows, 0);
    csv_free(&t);
    assert_int_equal(csv_parse("a\0b\n", 4, "f.csv", false, &t, &e), TS_BAD_INPUT);
    static const struct {
        const char *content, *sentence;
    } bad[] = {{"a,b\n1,2,3\n", "'f.csv' line 2 has more cells"},
               {"a,b\n1,2\n3\n", "'f.csv' line 3 has fewer cells"},
               {"a\n\"b\n\n", "'f.csv' line 2: a quote is not closed"},
               {"a\n\"b\"c\n", "'f.csv' line 2: text follows the closing quote"},
               {"a\nb\rc\n", "'f.csv' line 2: a carriage return within"}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        const char *content = bad[i].content;
        assert_int_equal(csv_parse(content, strlen(content), "f.csv", false, &t, &e), TS_BAD_INPUT);
        assert_non_null(strstr(e.text, bad[i].sentence));
    }
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

static void test_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *foreign, *shown;
    } texts[] = {
        {"plain \\ \xC3\xA4\xE2\x82\xAC\xF0\x9F\xA7\xA0",
         "plain \\ \xC3\xA4\xE2\x82\xAC\xF0\x9F\xA7\xA0"},
        {"\x1b[31mred\x07\x7f", "\\x1b[31mred\\x07\\x7f"},
        {"a\nb\rc\td", "a\\nb\\rc\\td"},
        {"\xC2\x9B;2J", "\\x9b;2J"},                           /* C1: CSI as UTF-8 */
        {"\x9B;2J\xC3", "\\x9b;2J\\xc3"},                      /* not UTF-8; cut */
        {"\xC0\x9B\xED\xA0\x80", "\\xc0\\x9b\\xed\\xa0\\x80"}, /* overlong; surrogate */
        {"\xF4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},          /* beyond Unicode */
    };
    char out[64], again[64];
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        escape_into(out, sizeof out, texts[i].foreign);
        assert_string_equal(out, texts[i].shown);
        escape_into(again, sizeof again, out);
        assert_string_equal(again, out);
        text t = {0};
        text_append_escaped(&t, texts[i].foreign);
        assert_string_equal(t.data, out);
        text_free(&t);
    }
    escape_into(out, 5, "abc\x1b"); /* does not fit: cut before it, never within */
    assert_string_equal(out, "abc");
    escape_into(out, 4, "abc");
    assert_string_equal(out, "abc");
    ts_error e;
    error_set(&e, TS_IO, "cannot open '%s'", "a\x1b[2J\nb");
    assert_string_equal(e.text, "cannot open 'a\\x1b[2J\\nb'");
    error_set(&e, TS_IO, "case 1: %s", e.text); /* its own text as an argument */
    assert_string_equal(e.text, "case 1: cannot open 'a\\x1b[2J\\nb'");
}

static void test_table_escapes(void **state)
{
    (void)state;
    char printed[256] = "";
    FILE *f = tmpfile();
    assert_non_null(f);
    const char *const cells[] = {"case", "n", "\x1b[2J", "12"};
    table_print(f, cells, 2, 2);
    print_line(f, "%s: %d", "\x1b", 3);
    rewind(f);
    assert_int_not_equal(fread(printed, 1, sizeof printed - 1, f), 0);
    assert_string_equal(printed, "case      n\n-----------\n\\x1b[2J  12\n\\x1b: 3\n");
    fclose(f);
}

static void test_byte_order_mark(void **state)
{
    (void)state;
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    ts_error e;
    json_t *json;
    char *path = path_join(folder, "x.json", &e);
    assert_int_equal(file_put(path, "\xEF\xBB\xBF{\"a\": 1}", 11, &e), TS_OK);
    assert_int_equal(json_read(path, 100, &json, &e), TS_OK);
    assert_int_equal(json_integer_value(json_object_get(json, "a")), 1);
    json_decref(json);
    assert_int_equal(file_put(path, "{\n\"a\": }", 8, &e), TS_OK);
    assert_int_equal(json_read(path, 100, &json, &e), TS_BAD_INPUT);
    assert_null(json);
    assert_non_null(strstr(e.text, "x.json' as JSON: line 2"));
    unlink(path);
    rmdir(folder);
    free(path);
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
    const char marked[] = "\xEF\xBB\xBF#\na = 1";
    assert_int_equal(ini_parse(marked, sizeof marked - 1, "f.ini", collect, &t, &e), TS_OK);
    assert_string_equal(t.data, ".a=1@2;");
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

/* A named pipe in the place of a file is refused and does not hold the reader for ever. */
static void test_named_pipe(void **state)
{
    (void)state;
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    ts_error e;
    uint8_t *bytes;
    size_t count;
    file_map map;
    json_t *json;
    csv_table table;
    char *path = path_join(folder, "pipe", &e);
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(10); /* ends the test where an open waits */
    assert_int_equal(file_get(path, 100, &bytes, &count, &e), TS_IO);
    assert_non_null(strstr(e.text, "pipe': it is not a regular file"));
    assert_int_equal(file_map_open(path, &map, &e), TS_IO);
    assert_int_equal(ini_read(path, NULL, NULL, &e), TS_IO);
    assert_int_equal(json_read(path, 100, &json, &e), TS_IO);
    assert_int_equal(csv_read(path, 100, false, &table, &e), TS_IO);
    alarm(0);
    free(path);
    remove_tree(folder);
}

static size_t names_in(const char *folder)
{
    string_list names;
    assert_int_equal(directory_list(folder, &names, NULL), TS_OK);
    const size_t count = names.count;
    string_list_free(&names);
    return count;
}

/* kill -9 while a file is written: the next writer of the same path removes what stayed, but
 * nothing of a process that lives. */
static void test_killed_writer(void **state)
{
    (void)state;
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    ts_error e;
    file_writer w;
    int ends[2];
    char byte;
    char *path = path_join(folder, "x.nii.gz", &e), *other = path_join(folder, "x.nii", &e);
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        const bool good = file_begin(&w, path, NULL) == TS_OK;
        (void)!write(ends[1], good ? "y" : "n", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(names_in(folder), 1);
    assert_int_equal(file_put(path, "a", 1, &e), TS_OK);
    assert_int_equal(names_in(folder), 2); /* the child lives */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(file_put(other, "b", 1, &e), TS_OK);
    assert_int_equal(names_in(folder), 3); /* another file's writer leaves it */
    assert_int_equal(file_put(path, "c", 1, &e), TS_OK);
    assert_int_equal(names_in(folder), 2);
    close(ends[0]);
    close(ends[1]);
    free(path);
    free(other);
    remove_tree(folder);
}

/* By the names alone: an earlier process of the same pid; other machines, by age; what is none. */
static void test_abandoned_names(void **state)
{
    (void)state;
    char folder[] = "/tmp/twinseg-test-XXXXXX", machine[16] = "";
    long long pid = 0, start = 0;
    assert_non_null(mkdtemp(folder));
    ts_error e;
    file_writer w;
    char *path = path_join(folder, "x", &e);
    assert_int_equal(file_begin(&w, path, &e), TS_OK);
    assert_int_equal(
        sscanf(strstr(w.temporary, ".tmp."), ".tmp.%lld.%lld.%15s", &pid, &start, machine), 3);
    file_abort(&w);
    assert_int_equal(pid, getpid());
    char *names[] = {
        string_format("%s.tmp.%lld.%lld.%s", path, pid, start - 1, machine), /* goes */
        string_format("%s.tmp.%lld.%lld.00000001", path, pid, start - 1),    /* goes: old */
        string_format("%s.tmp.%lld.%lld.00000002", path, pid, start - 1),
        string_format("%s.tmp.%lld", path, pid),
        string_format("%s.tmp.notes.txt", path),
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        FILE *f = fopen(names[i], "w");
        assert_non_null(f);
        fclose(f);
    }
    const struct timespec times[2] = {{.tv_sec = time(NULL) - 100000},
                                      {.tv_sec = time(NULL) - 100000}};
    assert_int_equal(utimensat(AT_FDCWD, names[1], times, 0), 0);
    assert_int_equal(file_try(path, &e), TS_OK);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(file_exists(names[i]), i >= 2);
        free(names[i]);
    }
    free(path);
    remove_tree(folder);
}

/* A child takes the lock, says so through the pipe and waits to be killed. */
static pid_t start_holder(const char *path)
{
    int ends[2];
    char word = 0;
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        process_lock l;
        process_name holder;
        const bool good = process_lock_take(path, &l, &holder, NULL) == TS_OK && l.held;
        (void)!write(ends[1], good ? "y" : "n", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ends[0], &word, 1), 1);
    assert_int_equal(word, 'y');
    close(ends[0]);
    close(ends[1]);
    return child;
}

static void test_process_lock(void **state)
{
    (void)state;
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    ts_error e;
    process_lock l, second;
    process_name holder;
    char *path = path_join(folder, "lock", &e);
    const pid_t child = start_holder(path);
    assert_int_equal(process_lock_take(path, &l, &holder, &e), TS_OK);
    assert_false(l.held);
    assert_int_equal(holder.pid, child);
    assert_true(process_lives(&holder));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_false(process_lives(&holder));
    assert_true(file_exists(path)); /* left behind, and no obstacle */
    assert_int_equal(process_lock_take(path, &l, &holder, &e), TS_OK);
    assert_true(l.held);
    assert_int_equal(process_lock_take(path, &second, &holder, &e), TS_OK);
    assert_false(second.held); /* not twice within one process either */
    process_lock_release(&second);
    process_lock_release(&l);
    process_lock_release(&l);
    assert_false(file_exists(path));
    assert_int_equal(process_lock_take("/nowhere/lock", &l, &holder, &e), TS_IO);
    assert_non_null(strstr(e.text, "'/nowhere/lock'"));
    rmdir(folder);
    free(path);
}

static void test_process_name(void **state)
{
    (void)state;
    char line[PROCESS_LINE_BYTES];
    process_name self = process_self(), read;
    process_print(&self, line);
    assert_true(process_parse(line, &read));
    assert_true(process_same_machine(&self, &read) && process_lives(&read));
    read.start--; /* an earlier process of the same number */
    assert_false(process_lives(&read));
    read = self;
    read.machine[0]++;
    assert_false(process_same_machine(&self, &read));
    assert_false(process_parse("host machine 12", &read));
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
        cmocka_unit_test(test_csv_ids),
        cmocka_unit_test(test_csv_table),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_table_escapes),
        cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_ini),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_pool_status),
        cmocka_unit_test(test_processor_quota),
        cmocka_unit_test(test_named_pipe),
        cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_abandoned_names),
        cmocka_unit_test(test_process_lock),
        cmocka_unit_test(test_process_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
