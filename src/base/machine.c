/* The machine that a program runs on, for records of how a result came about. */
#include "base/base.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

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
