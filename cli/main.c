/*
 * main.c - the program `millrace`. Everything is in the library of this folder, so that tests can
 * call it.
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return mr_cli_main(argc, argv);
}
