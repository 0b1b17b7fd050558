/* SPDX-License-Identifier: Apache-2.0 */
/* Launches and the templates that they may name. */
#pragma once

#include "common.h"

#include "compute/instance.h"
#include "compute/launch-template.h"

/* The template that a request names by id or by name, one of them; locked if it is to be changed.
 * NULL on failure. */
VirgaLaunchTemplate *ec2_launch_template_find(const VirgaCall *call, VirgaTxn *txn, const char *id,
                                              const char *name, bool lock, GError **error);

/* Checks that a template is named by id or by name, and not by both. */
bool ec2_launch_template_check(const char *id, const char *name, GError **error);

/* The number that "$Latest", "$Default" or a number stands for; it need not exist. */
bool ec2_launch_template_number(const VirgaLaunchTemplate *of, const char *version,
                                gint64 *ret_number, GError **error);

/* If the request names a launch template: *request becomes one that has also what the template's
 * version says where the caller said nothing, and 'spec' gets the tags that tell of it.  Lists
 * replace the template's, but block devices are merged by device and tags by key. */
bool ec2_launch_template_apply(VirgaCall *call, const Ec2RunInstancesRequest **request,
                               VirgaInstanceSpec *spec, GError **error);

/* Launches as RunInstances does; client token and reserved tags are in 'spec' (run-instances.c). */
bool ec2_launch(VirgaCall *call, const Ec2RunInstancesRequest *request, VirgaInstanceSpec *spec,
                Ec2RunInstancesResponse *response, GError **error);
