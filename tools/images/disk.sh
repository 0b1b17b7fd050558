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

# make_disk FILESYSTEM UUID [qemu-img option…]: one MBR partition at 1 MiB and GRUB for BIOS before it, written to
# $output.$$.part.
make_disk()
{
    local filesystem=$1 uuid=$2 raw=$work/disk.raw bytes
    shift 2
    bytes=$(stat -c %s "$filesystem")
    truncate -s $((bytes + 1048576)) "$raw"
    quietly sfdisk -q "$raw" <<END
label: dos
label-id: 0x${uuid%%-*}
start=2048, size=$((bytes / 512)), type=83, bootable
END
    cat >"$work/early.cfg" <<END
search.fs_uuid $uuid root
set prefix=(\$root)/boot/grub
configfile (\$root)/boot/grub/grub.cfg
END
    grub-mkimage -O i386-pc -o "$work/core.img" -c "$work/early.cfg" -p /boot/grub \
        biosdisk part_msdos ext2 search search_fs_uuid configfile normal linux linux16 echo serial \
        terminal boot test
    [ "$(stat -c %s "$work/core.img")" -lt $((2047 * 512)) ] || die "GRUB does not fit below 1 MiB"
    dd if=/usr/lib/grub/i386-pc/boot.img of="$raw" bs=440 count=1 conv=notrunc status=none
    dd if="$work/core.img" of="$raw" bs=512 seek=1 conv=notrunc status=none
    dd if="$filesystem" of="$raw" bs=1M seek=1 conv=notrunc,sparse status=none
    rm -f "$filesystem"
    qemu-img convert -O qcow2 -o compat=1.1 "$@" "$raw" "$output.$$.part"
}
