/* SPDX-License-Identifier: Apache-2.0 */
/* Every bound that is not the user's to set.  A limit on everything: queues, waits, sizes. */
#pragma once

#define VIRGA_DB_WAIT_MS   5000 /* for a free connection of the pool */
#define VIRGA_RECONNECT_MS 500  /* between attempts to reach the database or virgad */

#define VIRGA_BODY_BYTES_MAX      (2u << 20)  /* of a query request */
#define VIRGA_NODE_BODY_BYTES_MAX (32u << 20) /* of a host's facts */

#define VIRGA_INSTANCES_PER_CALL_MAX 1000  /* MaxCount of RunInstances, ids of a call */
#define VIRGA_USER_DATA_BYTES_MAX    16384 /* decoded; AWS's limit */
#define VIRGA_TAGS_MAX               50    /* per resource; AWS's limit */
#define VIRGA_TERMINATED_VISIBLE_S   3600  /* how long a terminated instance is described */
#define VIRGA_TERMINATED_KEPT_S      4200  /* how long its row is kept at least */

#define VIRGA_PIECE_BYTES (4u << 20) /* of a snapshot's file that a host sends at a time */

#define VIRGA_POLL_MS     30000 /* a node's long poll is answered at the latest */
#define VIRGA_RESYNC_S    300   /* a node asks for its whole wish at least this often */
#define VIRGA_HEARTBEAT_S 10    /* a node reports at least this often */
#define VIRGA_HOST_LOST_S 60    /* silent for longer: "lost" */
