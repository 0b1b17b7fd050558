/* SPDX-License-Identifier: Apache-2.0 */
/* Whether guests may run under KVM here. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* /dev/kvm alone proves nothing: on some machines it opens and every guest hangs.  True only if the
 * CPU has the extensions, the kernel the module that goes with them, and 'user' may open the
 * device.  'ret_reason' (may be NULL) gets what was found, in words, the caller's. */
bool virga_kvm_usable(uid_t user, char **ret_reason);
