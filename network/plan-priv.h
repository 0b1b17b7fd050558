/* SPDX-License-Identifier: Apache-2.0 */
/* The halves of a plan's format and of its check. */
#pragma once

#include "core/record.h"
#include "network/plan.h"

extern const VirgaRecordType virga_balancer_type;
extern const VirgaRecordType virga_target_group_type;

/* One label, or several with dots between if 'dots'. */
bool virga_plan_is_name(const char *text, bool dots);

/* The balancers and target groups of a plan whose ports have been checked. */
bool virga_vpc_plan_check_balancers(const VirgaVpcPlan *plan, GError **error);
