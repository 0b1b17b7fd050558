/* SPDX-License-Identifier: Apache-2.0 */
/* Instances as answers show them. */
#pragma once

#include "common.h"
#include "compute/instance.h"

/* What belongs to instances, read with one query each and found by hash. */
typedef struct {
    Ec2Index interfaces, attachments;
    Ec2Tags tags;
} Ec2InstanceParts;

/* 'ids' NULL: of all the account's instances. */
bool ec2_instance_parts_read(const VirgaCall *call, VirgaTxn *txn, const char *const *ids,
                             Ec2InstanceParts *ret, GError **error);
/* The two halves of it (virga_txn_send()). */
bool ec2_instance_parts_send(const VirgaCall *call, VirgaTxn *txn, const char *const *ids,
                             GError **error);
bool ec2_instance_parts_receive(const VirgaCall *call, VirgaTxn *txn, const char *const *ids,
                                Ec2InstanceParts *ret, GError **error);
/* Those of a launch, whose 'tags' each of its instances has. */
Ec2InstanceParts ec2_instance_parts_make(const VirgaCall *call, const VirgaReservation *made,
                                         const VirgaTag *tags, size_t tag_count);

/* The answer's form of 'rows', in their order. */
Ec2Instance *ec2_instances_show(const VirgaCall *call, const VirgaInstance *rows, size_t count,
                                const Ec2InstanceParts *parts);

/* The order in which instances are shown: by reservation, then launch index. */
void ec2_instances_sort(VirgaInstance *rows, size_t count);

/* Neighbours of one reservation become one item. */
Ec2ReservationList ec2_instances_group(const VirgaCall *call, const VirgaInstance *rows,
                                       Ec2Instance *shown, size_t count);

Ec2InstanceMetadataOptionsResponse *ec2_instance_metadata_options(const VirgaCall *call,
                                                                  const VirgaInstance *row);

Ec2InstanceState *ec2_instance_state(const VirgaCall *call, VirgaInstanceState state);

/* The account's instances 'ids' (NULL: all); fails if one of them does not exist. */
bool ec2_instances_find(const VirgaCall *call, VirgaTxn *txn, const char *const *ids,
                        VirgaInstance **ret, size_t *ret_count, GError **error);

/* InvalidInstanceID.NotFound for those of 'ids' (may be NULL) that are not among the rows. */
bool ec2_instances_check(const VirgaCall *call, const char *const *ids, const VirgaInstance *rows,
                         size_t count, GError **error);

/* The ids of a call that must name some, each checked. */
bool ec2_instance_ids(const VirgaCall *call, const Ec2InstanceIdStringList *list,
                      const char *const **ret_ids, GError **error);
