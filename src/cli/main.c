/* The table of commands, in the order of the work. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

extern const cli_command phantom_command;
extern const cli_command brain_command;
extern const cli_command prepare_command;
extern const cli_command segment_command;
extern const cli_command check_command;
extern const cli_command screen_command;
extern const cli_command plan_command;
extern const cli_command train_command;
extern const cli_command predict_command;
extern const cli_command evaluate_command;
extern const cli_command measure_command;
extern const cli_command compare_command;
extern const cli_command tune_command;
extern const cli_command study_command;
extern const cli_command picture_command;
extern const cli_command report_command;
extern const cli_command convert_command;
extern const cli_command export_command;
extern const cli_command import_command;
extern const cli_command info_command;

/* clang-format off */
const cli_command *const cli_commands[] = {
    &phantom_command,
    &brain_command,
    &prepare_command,
    &segment_command,
    &check_command,
    &screen_command,
    &plan_command,
    &train_command,
    &predict_command,
    &evaluate_command,
    &measure_command,
    &compare_command,
    &tune_command,
    &study_command,
    &picture_command,
    &report_command,
    &convert_command,
    &export_command,
    &import_command,
    &info_command,
    NULL,
};
/* clang-format on */

/* A file opened while one of the descriptors 0 to 2 is closed would get its number, and what is
 * printed would land in that file. */
static void open_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Standard output is written when its buffer is full or at the end: only here are all errors
 * known. */
static int finish_output(int status)
{
    const bool failed_before = ferror(stdout);
    errno = 0;
    if (fflush(stdout) == 0 && !failed_before)
        return status;
    ts_error e;
    error_set(&e, TS_IO, "cannot write to standard output: %s",
              errno ? strerror(errno) : "an earlier part was lost");
    const int failure = cli_fail(&e);
    return status ? status : failure;
}

int main(int argc, char **argv)
{
    open_standard_files();
    memory_begin();
    return finish_output(cli_main(argc, argv));
}
