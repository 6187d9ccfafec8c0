/* The table of commands, in the order of the work. */
#include "cli/cli.h"

extern const cli_command phantom_command;
extern const cli_command prepare_command;
extern const cli_command check_command;
extern const cli_command screen_command;
extern const cli_command plan_command;
extern const cli_command train_command;
extern const cli_command predict_command;
extern const cli_command evaluate_command;
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
    &prepare_command,
    &check_command,
    &screen_command,
    &plan_command,
    &train_command,
    &predict_command,
    &evaluate_command,
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

int main(int argc, char **argv)
{
    memory_begin();
    return cli_main(argc, argv);
}
