/* SPDX-License-Identifier: Apache-2.0 */
/* Names of resources.
 *
 * A resource's id is its EC2 id: a type prefix and 17 hex digits ("i-0123456789abcdef0"); it is
 * the primary key everywhere.  The UUID by which libvirt and the OpenStack dialect know the same
 * resource is a function of it, so neither name ever needs a look-up:
 *
 *     ec200000-0000-400X-YYYY-YYYYYYYYYYYY      X, Y: the 17 digits
 *
 * It is a valid random UUID (version 4) and begins with "ec2", by which cloud-init recognises an
 * EC2 guest.  The second of the 17 digits is the UUID's variant and so one of 8, 9, a, b; the
 * first is 0, as AWS's are.  62 random bits remain. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define VIRGA_ID_DIGITS 17
#define VIRGA_UUID_SIZE 37

/* A new random id with 'prefix' ("i", "vol", "sgr", …).  The caller owns it. */
char *virga_id_new(const char *prefix);

/* True if 'id' is 'prefix', a dash and 17 (or EC2's former 8) lower-case hex digits. */
bool virga_id_is(const char *id, const char *prefix);

/* Writes the UUID of 'id'; false if it is no id of ours. */
bool virga_id_to_uuid(const char *id, char uuid[static VIRGA_UUID_SIZE]);

/* The id with 'prefix' that has this UUID, or NULL if the UUID is none of ours. */
char *virga_id_from_uuid(const char *prefix, const char *uuid);

/* A random UUID in text, for names: unique, but no secret, since it can be guessed from others. */
char *virga_uuid_new(void);

/* The kind of resource that an id names, in EC2's words ("instance", "key-pair"), or NULL if the
 * prefix is unknown.  A loan. */
const char *virga_id_resource_type(const char *id);
