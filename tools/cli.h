/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands of "virga" share: options, the way to virgad, words for the user.
 *
 * Exit codes: 0 done, 1 it failed or something is wrong, 2 wrong use. */
#pragma once

#include "core/config.h"

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#define CLI_WRONG_USE 2

typedef struct {
    char *state, *config_path;
    VirgaConfig *config; /* loaded on demand by cli_config() */
} Cli;

void cli_done(Cli *cli);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cli, cli_done)

/* Parses the options of a command and the common ones; what remains is in argv[1…], 'min' to 'max'
 * of them.  'usage' are the arguments' names, 'text' stands under the options.  Ends the program
 * after --help and upon wrong use. */
void cli_parse(Cli *cli, int *argc, char ***argv, const char *usage, const char *text,
               const GOptionEntry *entries, int min, int max);

/* For files that they alone may read, and for the operator's socket. */
bool cli_need_root(const char *command);

bool cli_config(Cli *cli, GError **error);
char *cli_path(const Cli *cli, const char *relative);

/* A call of the operator's API; the answer's object is the caller's.  The error's message is what
 * virgad said. */
JsonNode *cli_call(Cli *cli, const char *method, const char *path, const char *body,
                   unsigned timeout_ms, GError **error);
JsonNode *cli_upload(Cli *cli, const char *path, const char *file, GError **error);

/* Prints "virga: …" to stderr and returns 1. */
int cli_fail(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* "3 min", "2 h 5 min" */
char *cli_duration(gint64 seconds);

/* Members of JSON answers; what is missing or of another type is "" or 0. */
const char *cli_text(JsonObject *object, const char *name);
gint64 cli_int(JsonObject *object, const char *name);
bool cli_bool(JsonObject *object, const char *name);
/* The objects of a list, 0 of a missing one. */
guint cli_length(JsonObject *object, const char *name);
JsonObject *cli_element(JsonObject *object, const char *name, guint at);

/* The commands. */
int cmd_up(int argc, char **argv);
int cmd_down(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_env(int argc, char **argv);
int cmd_why(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_image(int argc, char **argv);
int cmd_supervise(int argc, char **argv);
