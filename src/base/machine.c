/* What the machine grants to this process, processors and memory, and its facts for records. */
#include "base/base.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* ---- cgroups -------------------------------------------------------------------------------- */

/* Looks at the limits of one group, whose files are in folder. */
typedef void (*group_visit)(const char *folder, bool v2, void *context);

/* The group at root/path and all above it, up to root. */
static void walk_up(const char *root, const char *path, bool v2, group_visit visit, void *context)
{
    char folder[4200];
    snprintf(folder, sizeof folder, "%s%s", root, strcmp(path, "/") ? path : "");
    for (;;) {
        visit(folder, v2, context);
        char *slash = strrchr(folder, '/');
        if (!slash || strlen(folder) <= strlen(root))
            return;
        *slash = '\0';
    }
}

static bool holds_name(char *list, const char *name)
{
    char *rest = NULL;
    for (char *at = strtok_r(list, ",", &rest); at; at = strtok_r(NULL, ",", &rest))
        if (!strcmp(at, name))
            return true;
    return false;
}

/* The groups of v2, and of v1 those of one controller. A path that a container cannot see is looked
 * for from its nearest folder that is there. */
static void walk_groups(const char *membership, const char *root, const char *controller,
                        group_visit visit, void *context)
{
    char line[4096], mount[512];
    FILE *f = fopen(membership, "re");
    while (f && fgets(line, sizeof line, f)) { /* "4:cpu,cpuacct:/a/b" of v1, "0::/a/b" of v2 */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(++controllers, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        const bool v2 = !*controllers;
        if (v2 || holds_name(controllers, controller)) {
            snprintf(mount, sizeof mount, "%s%s%s", root, v2 ? "" : "/", v2 ? "" : controller);
            walk_up(mount, path, v2, visit, context);
        }
    }
    if (f)
        fclose(f);
}

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

static void visit_quota(const char *folder, bool v2, void *context)
{
    double quota, period, *least = context;
    if (read_quota(folder, v2, &quota, &period) && quota / period < *least)
        *least = quota / period;
}

int processor_quota(const char *membership, const char *root)
{
    double least = INT_MAX;
    walk_groups(membership, root, "cpu", visit_quota, &least);
    return (int)ceil(least);
}

int processor_count(void)
{
    cpu_set_t set;
    const int granted = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    const int quota = processor_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    return quota < granted ? quota : granted;
}

/* ---- memory --------------------------------------------------------------------------------- */

/* The number in the line "KEY: number" or "KEY number" of folder/name, or, where key is "", the
 * number that the file begins with. False where there is none. */
static bool read_number(const char *folder, const char *name, const char *key, size_t *value)
{
    char path[4400], line[256];
    bool found = false;
    const size_t length = strlen(key);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        const char *at = line + length;
        if (strncmp(line, key, length) || (length && *at != ':' && *at != ' '))
            continue;
        found = sscanf(at + (length > 0), "%zu", value) == 1;
    }
    if (f)
        fclose(f);
    return found;
}

/* Pages of files count as used, but the kernel takes them back before it refuses memory. */
static void visit_memory(const char *folder, bool v2, void *context)
{
    static const char *const limits[2] = {"memory.limit_in_bytes", "memory.max"};
    static const char *const usages[2] = {"memory.usage_in_bytes", "memory.current"};
    static const char *const caches[2][2] = {{"total_inactive_file", "total_active_file"},
                                             {"inactive_file", "active_file"}};
    size_t limit, used, cache, *least = context;
    if (!read_number(folder, limits[v2], "", &limit) || !read_number(folder, usages[v2], "", &used))
        return;
    for (int i = 0; i < 2; i++)
        if (read_number(folder, "memory.stat", caches[v2][i], &cache))
            used -= cache < used ? cache : used;
    const size_t rest = limit > used ? limit - used : 0;
    if (rest < *least)
        *least = rest;
}

size_t memory_quota(const char *membership, const char *root)
{
    size_t least = SIZE_MAX;
    walk_groups(membership, root, "memory", visit_memory, &least);
    return least;
}

size_t memory_available_bytes(void)
{
    size_t kib;
    const size_t quota = memory_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    const size_t available =
        read_number("/proc", "meminfo", "MemAvailable", &kib) ? kib * 1024 : SIZE_MAX;
    return quota < available ? quota : available;
}

size_t memory_peak_bytes(void)
{
    size_t kib;
    return read_number("/proc/self", "status", "VmHWM", &kib) ? kib * 1024 : 0;
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
