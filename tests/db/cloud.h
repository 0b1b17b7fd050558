/* SPDX-License-Identifier: Apache-2.0 */
/* A small cloud in a database of its own: an account, its default VPC, hosts and an image. */
#pragma once

#include "postgres.h"

#include "compute/host.h"
#include "compute/instance.h"
#include "core/config.h"
#include "core/db.h"

#define ACCOUNT  "123456789012"
#define STRANGER "210987654321"
#define SNAPSHOT "snap-08000000000000001"
#define FOREIGN  "snap-08000000000000002" /* the stranger's */
#define HOST     "h-08000000000000001"
#define TYPE     "t3.micro"
#define VCPUS    2
#define MEMORY   1024

typedef struct {
    char *dsn;
    VirgaDb *db;
    VirgaConfig *config;
    VirgaArena *arena; /* of the test */
    char *vpc_id, *group_id, *image_id;
} Cloud;

/* Makes the server of the program's tests; false: skip them. */
bool cloud_init(void);
void cloud_end(void);

/* As a fixture.  One host, with room for four instances of TYPE. */
void cloud_set_up(Cloud *cloud, gconstpointer data);
void cloud_tear_down(Cloud *cloud, gconstpointer data);

VirgaTxn *cloud_begin(Cloud *cloud);
void cloud_commit(VirgaTxn *txn); /* and frees */

/* One statement in a transaction of its own; 'sql' is a literal. */
void cloud_run(Cloud *cloud, const char *sql);
/* The first column of the first row. */
gint64 cloud_number(Cloud *cloud, const char *sql);
char *cloud_text(Cloud *cloud, const char *sql); /* of the cloud's arena; NULL stays NULL */

/* Reports a host with room for 'instances' of TYPE. */
void cloud_host(Cloud *cloud, const char *id, const char *zone, gint64 instances);

/* What a launch of one instance of TYPE asks for. */
VirgaInstanceSpec cloud_spec(Cloud *cloud);
/* Launches 'count' and returns their ids in the cloud's arena. */
char **cloud_launch(Cloud *cloud, const VirgaInstanceSpec *spec, gint64 count);
VirgaInstance *cloud_instance(Cloud *cloud, const char *id);

/* What the host says of an instance, about its newest wish. */
void cloud_report(Cloud *cloud, const char *id, VirgaPower power);
/* All that is true when nothing is claimed by anybody. */
void cloud_assert_empty(Cloud *cloud);
/* Claims of each host equal what its claimed instances need, and fit. */
void cloud_assert_claims(Cloud *cloud);
