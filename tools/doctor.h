/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of "virga doctor". */
#pragma once

#include "cli.h"

/* Compares what the database claims with what is on this host, and prints each leak; twice before
 * it believes, since the world moves while it looks.  Returns the number of leaks, or -1. */
int doctor_leaks(Cli *cli, GError **error);
