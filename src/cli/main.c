/* The table of commands, in the order of the work. */
#include "cli/cli.h"

const cli_command *const cli_commands[] = {
    NULL,
};

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
