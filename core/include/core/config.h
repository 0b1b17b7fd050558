/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: GKeyFile, every key declared in config.c with its default and its
 * meaning (docs/configuration.md is printed from there), unknown groups and keys refused.
 * An immutable object, the only one that is reference counted, since all threads read it. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct VirgaConfig VirgaConfig;

#define VIRGA_CONFIG_PATH "/etc/virga/virga.conf"
#define VIRGA_STATE_PATH  "/var/lib/virga"

/* Reads 'path' and lays 'state'/virga.conf over it, the file in which "virga up" keeps what it
 * chose for this cloud (port, address pool).  Missing files are empty ones.
 * Fails with noun "configuration", INVALID, naming file, group and key. */
VirgaConfig *virga_config_load(const char *path, const char *state, GError **error);
VirgaConfig *virga_config_ref(VirgaConfig *config);
void virga_config_unref(VirgaConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaConfig, virga_config_unref)

/* Values of declared keys; asking for an undeclared one is a bug.  Text is a loan; "" is unset. */
const char *virga_config_text(const VirgaConfig *config, const char *group, const char *key);
gint64 virga_config_int(const VirgaConfig *config, const char *group, const char *key);
bool virga_config_bool(const VirgaConfig *config, const char *group, const char *key);
double virga_config_real(const VirgaConfig *config, const char *group, const char *key);

/* Names of the [instance-type NAME] groups, NULL-terminated, the caller's; their keys are read
 * with the whole group name. */
char **virga_config_instance_types(const VirgaConfig *config);

/* Names of the [pool NAME] groups, likewise. */
char **virga_config_pools(const VirgaConfig *config);

/* Names of the [quota ACCOUNT] groups, likewise, and whether a group has a key of its own. */
char **virga_config_quota_groups(const VirgaConfig *config);
bool virga_config_has(const VirgaConfig *config, const char *group, const char *key);

/* The state directory that the configuration was loaded for, a loan. */
const char *virga_config_state(const VirgaConfig *config);

/* Three letters that tell this cloud's namespaces and devices from those of another on the same
 * machine: a function of the state directory.  A loan. */
const char *virga_config_tag(const VirgaConfig *config);

/* A path below the state directory, the caller's. */
char *virga_config_path(const VirgaConfig *config, const char *relative);

/* Who reads a key. */
typedef enum { VIRGA_CONFIG_VIRGAD = 1, VIRGA_CONFIG_NODE = 2 } VirgaConfigReader;

/* The values of all keys that this daemon reads, the caller's; secrets may be among them. */
char *virga_config_print(const VirgaConfig *config, VirgaConfigReader reader);

/* "[group] key, …" of those that are not as a former print says, the caller's; NULL if all are. */
char *virga_config_changes(const VirgaConfig *config, VirgaConfigReader reader, const char *former);

/* All keys as a page of Markdown, the caller's. */
char *virga_config_describe(void);

/* A configuration file with every key commented out, explained and at its default; the caller's. */
char *virga_config_example(void);
