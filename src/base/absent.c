/* What the C library of WebAssembly lacks; every call fails, as on a system that does not have it: one
 * processor, no other programs. */
#if defined(__wasm__)
#include <errno.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>

int sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
    (void)pid, (void)bytes, (void)set;
    errno = ENOSYS;
    return -1;
}

int __sched_cpucount(size_t bytes, const cpu_set_t *set);
int __sched_cpucount(size_t bytes, const cpu_set_t *set)
{
    (void)bytes, (void)set;
    return 1;
}

int prctl(int option, ...)
{
    (void)option;
    errno = ENOSYS;
    return -1;
}

int posix_spawnp(pid_t *restrict pid, const char *restrict file,
                 const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *restrict attributes, char *const argv[restrict],
                 char *const environment[restrict])
{
    (void)pid, (void)file, (void)actions, (void)attributes, (void)argv, (void)environment;
    return ENOENT;
}
#else
typedef int not_empty; /* ISO C wants a declaration */
#endif
