/* SPDX-License-Identifier: Apache-2.0 */
/* virga: the operator's command. */
#include "cli.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

typedef struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} Command;

static const Command commands[] = {
    { "up", "start the cloud on this machine", cmd_up },
    { "down", "stop the cloud; guests keep running", cmd_down },
    { "status", "what runs, and what is wrong", cmd_status },
    { "env", "print what makes AWS clients use this cloud", cmd_env },
    { "why", "tell the story of an instance, a host or a refused request", cmd_why },
    { "doctor", "check the machine, or look for leaks", cmd_doctor },
    { "image", "import and list images", cmd_image },
    { "supervise", "run the daemons in the foreground (\"up\" does it for you)", cmd_supervise },
};

static void
print_usage(void)
{
    g_print("Usage: virga COMMAND [OPTION…]\n\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        g_print("  %-10s %s\n", commands[i].name, commands[i].summary);
    g_print(
        "\n\"virga COMMAND --help\" tells more.  \"--state DIR\" names another cloud than that in "
        "%s.\n",
        VIRGA_STATE_PATH);
}

static int
run(const Command *command, int argc, char **argv)
{
    g_autofree char *name = g_strconcat("virga ", command->name, NULL);

    g_set_prgname(name);
    argv[1] = name;
    return command->run(argc - 1, argv + 1);
}

int
main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_usage();
        return CLI_WRONG_USE;
    }
    if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h") ||
        g_str_equal(argv[1], "help")) {
        print_usage();
        return 0;
    }
    if (g_str_equal(argv[1], "--version")) {
        g_print("virga %s\n", VIRGA_VERSION);
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if (g_str_equal(argv[1], commands[i].name))
            return run(&commands[i], argc, argv);
    g_printerr("virga: there is no command \"%s\"\nTry \"virga --help\".\n", argv[1]);
    return CLI_WRONG_USE;
}
