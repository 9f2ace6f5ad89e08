/* main.c: the door. Commands are rows of cmd/commands.def. */
#include "cmd/command.h"

extern char **environ;

int main(int argc, char **argv)
{
    return command_main(argc, argv, (const char *const *)environ);
}
