/* SPDX-License-Identifier: Apache-2.0 */
/* Where librbd is not. */
#include "storage/driver.h"

#include "core/error.h"

VirgaVolumeDriver *
virga_volume_rbd_new(const VirgaRbdSettings *settings, GError **error)
{
    virga_fail(error, "volume", VIRGA_ERROR_UNSUPPORTED,
               "this virga-node was built without librbd: it cannot use the pool \"%s\"",
               settings->pool);
    return NULL;
}
