/* The table of commands, in the order of the work. */
#include "cli/cli.h"

extern const cli_command phantom_command, plan_command, train_command, predict_command,
    evaluate_command, study_command, picture_command, convert_command, export_command;

const cli_command *const cli_commands[] = {
    &phantom_command,
    &plan_command,
    &train_command,
    &predict_command,
    &evaluate_command,
    &study_command,
    &picture_command,
    &convert_command,
    &export_command,
    NULL,
};

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
