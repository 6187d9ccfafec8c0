/* Other programs: started, waited for, and ended after an interrupt. */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Asks a program and all that it has started to end, and after two seconds makes them. */
static void end_group(pid_t child, int *result)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    kill(-child, SIGTERM);
    for (int i = 0; i < 100; i++) {
        if (waitpid(child, result, WNOHANG) == child) {
            kill(-child, SIGKILL); /* what it left running */
            return;
        }
        nanosleep(&pause, NULL);
    }
    kill(-child, SIGKILL);
    while (waitpid(child, result, 0) < 0 && errno == EINTR)
        ;
}

ts_status program_run(const char *const *words, const char *log, bool *found, bool *good,
                      ts_error *error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    const struct timespec pause = {.tv_nsec = 20000000};
    pid_t child, ended;
    int result;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (log)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log,
                                         O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int failure = posix_spawnp(&child, words[0], &actions, &attributes,
                                     (char *const *)(uintptr_t)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    *found = failure != ENOENT;
    *good = false;
    if (!*found)
        return TS_OK;
    if (failure)
        return error_set(error, TS_IO, "cannot start %s: %s", words[0], strerror(failure));
    while ((ended = waitpid(child, &result, WNOHANG)) != child) {
        if (ended < 0 && errno != EINTR)
            return error_set(error, TS_IO, "cannot wait for %s: %s", words[0], strerror(errno));
        if (interrupt_requested()) {
            end_group(child, &result);
            break;
        }
        nanosleep(&pause, NULL);
    }
    if (interrupt_requested())
        return error_set(error, TS_STOPPED, "stopped; no image was written");
    *good = WIFEXITED(result) && WEXITSTATUS(result) == 0;
    return TS_OK;
}
