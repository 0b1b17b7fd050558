/* SPDX-License-Identifier: Apache-2.0 */
/* What network/interface*.c share. */
#pragma once

#include "network/interface.h"

/* Fails with INVALID unless spec->address may be an interface's in the subnet of the spec. */
bool virga_interface_check_address(const VirgaInterfaceSpec *spec, GError **error);

/* An address of the spec's subnet that is free now, in 'arena', or NULL when there is none. */
bool virga_interface_free_address(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                                  char **ret, GError **error);
