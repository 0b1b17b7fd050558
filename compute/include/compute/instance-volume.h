/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes that come to instances and leave them.
 *
 * A running guest gets the disk, or lets go of it, some time after the call: the attachment is in
 * transition until its host says so.  A stopped one has it, or is without it, at once.
 * Nouns: "volume" NOT_FOUND, STATE, IN_USE, UNSUPPORTED; "volume zone" INVALID; "instance"
 * NOT_FOUND; "volume instance" STATE (the instance is in no state for it); "volume device" INVALID,
 * QUOTA; "volume attachment" NOT_FOUND; "root volume" STATE. */
#pragma once

#include "storage/volume-modification.h"
#include "storage/volume.h"

#define VIRGA_ATTACHMENTS_MAX 28 /* of an instance, as EC2 has it */

/* Attaches a volume as 'device'; *ret is the volume with its attachment, in 'arena'. */
bool virga_volume_attach(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *volume_id, const char *instance_id, const char *device,
                         VirgaVolume *ret, GError **error);

/* Detaches it; instance_id and device, which may be NULL, must be those of the attachment.  *ret
 * is the volume with its attachment as it is now, or as it was. */
bool virga_volume_detach(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *volume_id, const char *instance_id, const char *device,
                         VirgaVolume *ret, GError **error);

/* A volume for a change, with its instance: locked.  Noun "volume": NOT_FOUND, STATE; "volume
 * modification" STATE while an earlier change has not reached the guest. */
bool virga_volume_lock_for_change(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                  const char *volume_id, VirgaVolume *ret, GError **error);
/* Changes it; what its account may have is claimed. */
bool virga_volume_modify(VirgaTxn *txn, const VirgaVolume *volume, const VirgaVolumeShape *original,
                         const VirgaVolumeShape *target, GError **error);
