/* SPDX-License-Identifier: Apache-2.0 */
/* A private PostgreSQL for one test program: in a temporary folder, on a Unix socket only, gone
 * with the program however that ends. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Postgres Postgres;

/* Starts a server, or returns NULL if PostgreSQL is not installed: tests are then skipped. */
Postgres *postgres_new(void);

/* Ends the program if transactions have run into each other. */
void postgres_assert_no_deadlock(Postgres *postgres);

void postgres_free(Postgres *postgres);

/* libpq's connection string of an empty new database, the caller's. */
char *postgres_database(Postgres *postgres);

/* Ends all connections at once, as a crash does, and comes back on the same socket. */
void postgres_restart(Postgres *postgres);
void postgres_stop(Postgres *postgres);
void postgres_start(Postgres *postgres);
