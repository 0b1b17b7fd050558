/* SPDX-License-Identifier: Apache-2.0 */
/* How volumes look in answers. */
#pragma once

#include "block-devices.h"
#include "storage/volume.h"

void ec2_show_volume(const VirgaCall *call, const VirgaVolume *row, Ec2TagList tags,
                     Ec2Volume *shown);
/* Of a volume that has one. */
Ec2VolumeAttachment ec2_show_attachment(const VirgaVolume *row);
