/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "common.h"

bool ec2_check_image_name(const char *name, GError **error);
