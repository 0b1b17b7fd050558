# SPDX-License-Identifier: Apache-2.0
# The micro image: a Debian kernel, busybox and dropbear.  Sourced by tools/image.
# What the guest does is in micro/initrd and micro/root; here they are put together.

micro_uuid=5b1c0de0-0000-4000-8000-000000000002

build_micro()
{
    local kernel version debs=$work/debs files=$work/files linux=$work/linux
    local initrd=$work/initrd root=$work/root

    step "fetching packages"
    # The name of the package behind the metapackage has the version in it.
    kernel=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    if [ -z "$kernel" ] && update_lists; then
        kernel=$(apt-cache depends linux-image-cloud-amd64 |
            sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    fi
    if [ -z "$kernel" ] && [ -n "$cache" ]; then
        kernel=$(ls -t "$cache"/linux-image-*-cloud-amd64_*.deb 2>/dev/null | head -n 1) || true
        kernel=${kernel##*/}
        kernel=${kernel%%_*}
    fi
    [ -n "$kernel" ] || die "apt knows no linux-image-cloud-amd64: are Debian's sources configured?"
    download_packages "$debs" "$kernel" busybox-static dropbear-bin e2fsprogs \
        libc6 libcrypt1 libtomcrypt1 libtommath1 libgmp10 zlib1g \
        libext2fs2 libcom-err2 libblkid1 libuuid1

    step "unpacking"
    mkdir -p "$files" "$linux"
    for deb in "$debs"/*.deb; do
        case $deb in
        */linux-image-*) dpkg-deb -x "$deb" "$linux" ;;
        *) dpkg-deb -x "$deb" "$files" ;;
        esac
    done
    version=$(ls "$linux/lib/modules")
    depmod -b "$linux" "$version"

    step "putting the first root together"
    mkdir -p "$initrd"/{bin,dev,lib,mnt,proc,sys}
    cp "$files/bin/busybox" "$initrd/bin/"
    for applet in cat fdisk findfs mount modprobe printf sh sleep switch_root umount; do
        ln -s busybox "$initrd/bin/$applet"
    done
    micro_modules "$linux" "$version" "$initrd" virtio_pci virtio_blk virtio_scsi sd_mod ext4
    install -m 755 "$here/images/micro/initrd/init" "$initrd/init"
    sed -i "s/@UUID@/$micro_uuid/" "$initrd/init"
    find "$initrd" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$initrd" && find . | sort |
        cpio --quiet --reproducible -o -H newc -R 0:0) >"$work/initrd.cpio"

    step "putting the root together"
    micro_root "$files" "$linux" "$version" "$root"
    cp "$work/initrd.cpio" "$root/boot/initrd"
    cp "$linux/boot/vmlinuz-$version" "$root/boot/vmlinuz"
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

    step "making the disk"
    make_filesystem "$root" "$work/root.img" $((size - disk_overhead_mib)) "$micro_uuid" micro -m 0 -J size=4 ||
        die "the files need more room than $size MiB"
    make_disk "$work/root.img" "$micro_uuid"
}

# micro_modules FROM VERSION TO NAME…: copies modules and what they depend on.
micro_modules()
{
    local from=$1 version=$2 to=$3 path name
    shift 3
    mkdir -p "$to/lib/modules/$version"
    cp "$from/lib/modules/$version"/modules.{order,builtin,builtin.modinfo} "$to/lib/modules/$version/"
    for name in "$@"; do
        # Prints "insmod PATH" or, for what the kernel has inside, "builtin NAME".
        modprobe -d "$from" -S "$version" --show-depends "$name" ||
            die "the kernel $version has no module \"$name\""
    done | sed -n 's/^insmod \([^ ]*\) *$/\1/p' | sort -u |
        while read -r path; do
            install -m 644 -D "$path" "$to/${path#"$from/"}"
        done
    depmod -b "$to" "$version"
}

micro_root()
{
    local files=$1 linux=$2 version=$3 root=$4 applet name found
    mkdir -p "$root"/{bin,boot/grub,dev,etc/acpi/PWRF,etc/dropbear,home/micro,lib64,mnt,proc,run,sbin} \
        "$root"/{sys,usr/bin,usr/sbin,var/lib/micro,var/log,lib/x86_64-linux-gnu}
    mkdir -m 1777 "$root/tmp"
    mkdir -m 700 "$root/root"
    ln -s ../run "$root/var/run"
    ln -s /proc/mounts "$root/etc/mtab"
    cp -R -T "$here/images/micro/root" "$root"
    chmod 755 "$root"/{etc,sbin,boot,boot/grub} "$root"/etc/{rc,rc.stop} "$root"/sbin/* \
        "$root/etc/acpi/PWRF/00000080"
    chmod 644 "$root"/etc/{passwd,group,shells,nsswitch.conf,hosts,hostname,inittab,issue}

    cp "$files/bin/busybox" "$root/bin/"
    # Without those that would be the real program's poor relation.
    for applet in $("$files/bin/busybox" --list); do
        case $applet in
        busybox | mke2fs | dpkg | dpkg-deb | rpm | rpm2cpio) ;;
        *) [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet" ;;
        esac
    done
    ln -s ../bin/busybox "$root/sbin/init"
    ln -s ../bin/busybox "$root/sbin/modprobe" # where the kernel looks for it

    cp "$files/usr/sbin/dropbear" "$root/usr/sbin/"
    cp "$files"/usr/bin/{dropbearkey,dbclient} "$root/usr/bin/"
    ln -s dbclient "$root/usr/bin/ssh"
    cp "$files"/sbin/{mke2fs,resize2fs} "$root/sbin/"
    ln -s mke2fs "$root/sbin/mkfs.ext4"
    cp -L "$files/lib64/ld-linux-x86-64.so.2" "$root/lib64/"
    for name in libc.so.6 libcrypt.so.1 libtomcrypt.so.1 libtommath.so.1 libgmp.so.10 libz.so.1 \
        libext2fs.so.2 libe2p.so.2 libcom_err.so.2 libblkid.so.1 libuuid.so.1; do
        found=$(find "$files/lib" "$files/usr/lib" -name "$name" | head -n 1)
        [ -n "$found" ] || die "no package brought \"$name\""
        cp -L "$found" "$root/lib/x86_64-linux-gnu/"
    done
    micro_modules "$linux" "$version" "$root" ext4 isofs sd_mod sr_mod button evdev \
        virtio_pci virtio_blk virtio_scsi virtio_net virtio_console virtio_rng virtio_balloon nfsv4

    # The password is for the console alone: dropbear takes keys only.
    printf 'root:*:19000:0:99999:7:::\nmicro:%s:19000:0:99999:7:::\n' \
        "$(openssl passwd -6 -salt micro micro)" >"$root/etc/shadow"
    chmod 600 "$root/etc/shadow"
    chown -R 0:0 "$root"
    chown -R 1000:1000 "$root/home/micro"
}
