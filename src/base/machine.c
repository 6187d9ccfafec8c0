/* The machine that a program runs on, for records of how a result came about. */
#include "base/base.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* ---- processors ----------------------------------------------------------------------------- */

/* Two numbers from one file (v2: "200000 100000" or "max 100000") or from two (v1: "-1" where there
 * is no quota). */
static bool read_quota(const char *folder, bool v2, double *quota, double *period)
{
    static const char *const names[2][2] = {{"cpu.cfs_quota_us", "cpu.cfs_period_us"},
                                            {"cpu.max", NULL}};
    double numbers[2] = {0};
    int found = 0;
    for (int i = 0; i < 2 && names[v2][i]; i++) {
        char path[4400];
        snprintf(path, sizeof path, "%s/%s", folder, names[v2][i]);
        FILE *f = fopen(path, "re");
        while (f && found < 2 && fscanf(f, "%lf", &numbers[found]) == 1)
            found++;
        if (f)
            fclose(f);
    }
    *quota = numbers[0];
    *period = numbers[1];
    return found == 2 && *quota > 0 && *period > 0;
}

/* The least quota of the group at root/path and of all above it, up to root, into *least. */
static void walk_up(const char *root, const char *path, bool v2, double *least)
{
    char folder[4200];
    double quota, period;
    snprintf(folder, sizeof folder, "%s%s", root, strcmp(path, "/") ? path : "");
    for (;;) {
        if (read_quota(folder, v2, &quota, &period) && quota / period < *least)
            *least = quota / period;
        char *slash = strrchr(folder, '/');
        if (!slash || strlen(folder) <= strlen(root))
            return;
        *slash = '\0';
    }
}

static bool names_cpu(char *controllers)
{
    char *rest = NULL;
    for (char *at = strtok_r(controllers, ",", &rest); at; at = strtok_r(NULL, ",", &rest))
        if (!strcmp(at, "cpu"))
            return true;
    return false;
}

/* A path that a container cannot see is looked for from its nearest folder that is there. */
int processor_quota(const char *membership, const char *root)
{
    char line[4096], mount[512];
    double least = INT_MAX;
    FILE *f = fopen(membership, "re");
    while (f && fgets(line, sizeof line, f)) { /* "4:cpu,cpuacct:/a/b" of v1, "0::/a/b" of v2 */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(++controllers, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        const bool v2 = !*controllers;
        if (v2 || names_cpu(controllers)) {
            snprintf(mount, sizeof mount, "%s%s", root, v2 ? "" : "/cpu");
            walk_up(mount, path, v2, &least);
        }
    }
    if (f)
        fclose(f);
    return (int)ceil(least);
}

int processor_count(void)
{
    cpu_set_t set;
    const int granted = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const int quota = processor_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota < granted ? quota : granted;
}

/* ---- facts ---------------------------------------------------------------------------------- */

/* "model name : ..." of /proc/cpuinfo, or "". */
static void name_processor(char *name, size_t room)
{
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    name[0] = '\0';
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon)
            continue;
        snprintf(name, room, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (f)
        fclose(f);
}

machine_facts machine_describe(void)
{
    machine_facts m = {.processors = processor_count()};
    struct utsname system = {0};
    uname(&system);
    snprintf(m.system, sizeof m.system, "%.90s %.90s", system.sysname, system.release);
    name_processor(m.processor, sizeof m.processor);
    return m;
}
