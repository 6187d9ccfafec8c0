/* Real scans for tests: they are beside the repository, never in it. */
#ifndef TWINSEG_TESTS_SHARED_H
#define TWINSEG_TESTS_SHARED_H

#include "base/base.h"

#include <stdlib.h>

/* The path of `below` in ../shared (or in $TWINSEG_SHARED), NULL where it is not there. Valid until
 * the next call. */
static inline const char *shared_path(const char *below)
{
    static char path[4096];
    const char *folder = getenv("TWINSEG_SHARED");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "../shared", below);
    if (file_exists(path))
        return path;
    printf("skip: '%s' is not here (set TWINSEG_SHARED to the folder that holds it)\n", path);
    return NULL;
}

#endif
