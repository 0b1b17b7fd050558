# SPDX-License-Identifier: Apache-2.0
# From a tree of files to a bootable disk, without mounting anything.  Sourced by tools/image.

# make_filesystem TREE FILE MIB UUID LABEL [mke2fs option…]
make_filesystem()
{
    local tree=$1 file=$2 mib=$3 uuid=$4 label=$5
    shift 5
    rm -f "$file"
    # GRUB 2.06 knows neither metadata_csum_seed nor orphan_file.  The room that 'resize' reserves lets
    # a small filesystem grow to a terabyte while it is mounted.
    quietly mke2fs -q -t ext4 -b 4096 -O ^metadata_csum_seed,^orphan_file -L "$label" -U "$uuid" \
        -E "hash_seed=$uuid,root_owner=0:0,resize=268435456" "$@" -d "$tree" "$file" "${mib}M"
}

# What is before the root filesystem, in sectors: GRUB for BIOS below 1 MiB, then the EFI system
# partition.  The root is the first partition nevertheless, and the last on the disk: it grows.
esp_start=2048
esp_sectors=8192
root_start=$((esp_start + esp_sectors))
disk_overhead_mib=$((root_start / 2048))

# grub_image FORMAT FILE MODULE…: GRUB that reads its configuration from the root filesystem.
grub_image()
{
    local format=$1 file=$2
    shift 2
    grub-mkimage -O "$format" -o "$file" -c "$work/early.cfg" -p /boot/grub part_msdos ext2 search \
        search_fs_uuid configfile normal linux echo serial terminal boot test "$@"
}

# make_esp FILE: the EFI system partition, with GRUB where firmware looks for it on any disk.
make_esp()
{
    local file=$1
    grub_image x86_64-efi "$work/BOOTX64.EFI" fat
    touch -d "@$SOURCE_DATE_EPOCH" "$work/BOOTX64.EFI"
    quietly mformat -i "$file" -C -T $esp_sectors -h 64 -s 32 -N "${SOURCE_DATE_EPOCH: -8}" ::
    quietly mmd -i "$file" ::/EFI ::/EFI/BOOT
    quietly mcopy -m -i "$file" "$work/BOOTX64.EFI" ::/EFI/BOOT/
}

# make_disk FILESYSTEM UUID [qemu-img option…]: boots by BIOS and by UEFI; written to
# $output.$$.part.
make_disk()
{
    local filesystem=$1 uuid=$2 raw=$work/disk.raw bytes
    shift 2
    bytes=$(stat -c %s "$filesystem")
    truncate -s $((bytes + root_start * 512)) "$raw"
    quietly sfdisk -q "$raw" <<END
label: dos
label-id: 0x${uuid%%-*}
1: start=$root_start, size=$((bytes / 512)), type=83, bootable
2: start=$esp_start, size=$esp_sectors, type=ef
END
    cat >"$work/early.cfg" <<END
search.fs_uuid $uuid root
set prefix=(\$root)/boot/grub
configfile (\$root)/boot/grub/grub.cfg
END
    grub_image i386-pc "$work/core.img" biosdisk linux16
    [ "$(stat -c %s "$work/core.img")" -lt $((2047 * 512)) ] || die "GRUB does not fit below 1 MiB"
    make_esp "$work/esp.img"
    dd if=/usr/lib/grub/i386-pc/boot.img of="$raw" bs=440 count=1 conv=notrunc status=none
    dd if="$work/core.img" of="$raw" bs=512 seek=1 conv=notrunc status=none
    dd if="$work/esp.img" of="$raw" bs=512 seek=$esp_start conv=notrunc status=none
    dd if="$filesystem" of="$raw" bs=512 seek=$root_start conv=notrunc,sparse status=none
    rm -f "$filesystem"
    qemu-img convert -O qcow2 -o compat=1.1 "$@" "$raw" "$output.$$.part"
}
