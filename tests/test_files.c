/* base: files by rename, what killed writers leave, readers, processes and their locks. */
#include "base/base.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void remove_tree(const char *folder)
{
    char *command = string_format("rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    free(command);
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

/* A file that cannot take its name: the folder there stays, and nothing beside it. */
static void test_name_taken(void **state)
{
    (void)state;
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *path = string_format("%s/name", folder);
    ts_error e;
    string_list names;
    file_writer w;
    assert_int_equal(file_begin(&w, path, &e), TS_OK);
    assert_int_equal(file_write(&w, "abc", 3, &e), TS_OK);
    assert_int_equal(directory_create(path, &e), TS_OK);
    assert_int_equal(file_commit(&w, &e), TS_IO);
    assert_non_null(strstr(e.text, path));
    assert_true(directory_exists(path));
    assert_int_equal(directory_list(folder, &names, &e), TS_OK);
    assert_int_equal(names.count, 1);
    string_list_free(&names);
    remove_tree(folder);
    free(path);
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

/* A file must not take the place of a folder, a pipe or a device; a link to a file is a file. */
static void test_kinds(void **state)
{
    (void)state;
    char folder[] = "/tmp/twinseg-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    ts_error e;
    char *pipe_path = path_join(folder, "pipe", &e), *link_path = path_join(folder, "link", &e);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_int_equal(file_put(pipe_path, "x", 1, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "is not a regular file"));
    assert_int_equal(file_try("/dev/null", &e), TS_BAD_INPUT);
    assert_int_equal(file_try(folder, &e), TS_BAD_INPUT);
    assert_non_null(strstr(e.text, "is a folder"));
    struct stat s;
    assert_int_equal(stat(pipe_path, &s), 0);
    assert_true(S_ISFIFO(s.st_mode));
    assert_int_equal(symlink("target", link_path), 0);
    assert_int_equal(file_put(link_path, "x", 1, &e), TS_OK);
    assert_int_equal(file_put(link_path, "y", 1, &e), TS_OK);
    free(pipe_path);
    free(link_path);
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
        cmocka_unit_test(test_file_by_rename),  cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_name_taken),      cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_named_pipe),      cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_abandoned_names), cmocka_unit_test(test_process_lock),
        cmocka_unit_test(test_process_name),    cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
