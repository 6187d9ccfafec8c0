/* Folders of empty files, for tests of what names tell; cmocka's group set-up and tear-down. */
#ifndef TWINSEG_TESTS_MADE_FOLDERS_H
#define TWINSEG_TESTS_MADE_FOLDERS_H

#include "dataset/dataset.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/twinseg-folders-XXXXXX";

static inline int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static inline void run(const char *format, ...) PRINTF_LIKE(1, 2);
static inline void run(const char *format, ...)
{
    char command[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(command, sizeof command, format, list);
    va_end(list);
    assert_int_equal(system(command), 0);
}

static inline int remove_root(void **state)
{
    (void)state;
    run("chmod -R u+w %s; rm -rf %s", root, root);
    return 0;
}

/* Makes empty files below root/name: what dataset_open tells, it tells by names. */
static inline const char *touch(const char *name, const char *const *files, size_t count)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    run("rm -rf %s && mkdir -p %s", path, path);
    for (size_t i = 0; i < count; i++)
        run("mkdir -p \"$(dirname '%s/%s')\" && echo x > '%s/%s'", path, files[i], path, files[i]);
    return path;
}

static inline void open_ok(const char *path, dataset *d)
{
    ts_error e = {0};
    if (dataset_open(path, LABELS_AUTO, d, &e) != TS_OK)
        fail_msg("%s", e.text);
}

static inline bool noted(const dataset *d, const char *word)
{
    for (size_t i = 0; i < d->notes.count; i++)
        if (strstr(d->notes.items[i], word))
            return true;
    return false;
}

#endif
