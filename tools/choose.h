/* SPDX-License-Identifier: Apache-2.0 */
/* What "virga up" decides at the first start of a cloud and keeps: the port, the address pool, the
 * region, the first account and its key. */
#pragma once

#include "cli.h"

typedef struct {
    const char *account, *access_key, *secret_file, *region, *listen; /* NULL: not asked for */
} ChooseOptions;

typedef struct {
    char *account, *access_key, *secret;
} Credentials;

void credentials_done(Credentials *credentials);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Credentials, credentials_done)

/* STATE/virga.conf: adds what is asked for, and what must differ from the defaults because another
 * cloud or program is there. */
bool choose_settings(Cli *cli, const ChooseOptions *options, GError **error);

/* STATE/credentials: made at the first start of what is asked for, configured or else random.
 * Noun "credentials": CONFLICT when the cloud has another first account. */
bool choose_credentials(Cli *cli, const ChooseOptions *options, Credentials *ret, GError **error);

/* Fails with NOT_FOUND when there are none. */
bool credentials_read(const Cli *cli, Credentials *ret, GError **error);

/* False if another program listens there. */
bool port_can_be_bound(const char *listen);

/* The URL of the cloud's API for clients on this machine, the caller's. */
char *cli_endpoint(const Cli *cli);

/* STATE/endpoints: rule sets by which AWS clients of before 2023 find this cloud. */
bool endpoints_write(const Cli *cli, GError **error);
