# SPDX-License-Identifier: Apache-2.0
# The Debian 12 image: what a user of a cloud expects.  Sourced by tools/image.

debian_12_uuid=5b1c0de0-0000-4000-8000-000000000001

build_debian_12()
{
    local tree=$work/tree

    step "reading apt's sources"
    if ! debian_12_sources >"$work/sources.list"; then
        update_lists
        debian_12_sources >"$work/sources.list" || die "apt has no sources of Debian 12"
    fi

    # Files of packages that nobody reads in a guest.
    local options=(--mode=root --variant=minbase --format=directory --quiet
        --include="$(grep -v '^#' "$here/images/debian-12/packages" | paste -sd ,)"
        --dpkgopt='path-exclude=/usr/share/man/*'
        --dpkgopt='path-exclude=/usr/share/locale/*'
        --dpkgopt='path-exclude=/usr/share/doc/*'
        --dpkgopt='path-include=/usr/share/doc/*/copyright'
        --setup-hook='mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/var/cache/apt/archives"'
        --setup-hook="cp '$here/images/debian-12/initramfs.conf' \"\$1/etc/initramfs-tools/conf.d/virga\""
        --skip=essential/unlink,cleanup/apt/cache,cleanup/apt/lists)
    options+=(--skip=update
        --setup-hook="mkdir -p \"\$1/var/lib/apt/lists/partial\""
        --setup-hook="cp -p /var/lib/apt/lists/*_* \"\$1/var/lib/apt/lists/\"")
    if [ -n "$cache" ]; then
        options+=(--setup-hook="find '$cache' -maxdepth 1 -name '*.deb' -exec cp -t \"\$1/var/cache/apt/archives\" {} +")
    fi

    step "installing Debian's packages (minutes)"
    if ! quietly mmdebstrap "${options[@]}" bookworm "$tree" "$work/sources.list"; then
        update_lists || die "mmdebstrap failed"
        rm -rf "$tree"
        debian_12_sources >"$work/sources.list" || die "apt has no sources of Debian 12"
        step "installing Debian's packages, again"
        quietly mmdebstrap "${options[@]}" bookworm "$tree" "$work/sources.list" ||
            die "mmdebstrap failed"
    fi
    keep_packages "$tree/var/cache/apt/archives"

    step "setting it up"
    debian_12_configure "$tree"

    step "making the disk"
    make_filesystem "$tree" "$work/root.img" $((size - disk_overhead_mib)) "$debian_12_uuid" cloudroot ||
        die "the files need more room than $size MiB"
    rm -rf "$tree"
    make_disk "$work/root.img" "$debian_12_uuid" -c -o compression_type=zstd
}

# This machine's sources of Debian 12 as lines for sources.list, so that a local mirror is used.
debian_12_sources()
{
    # A key that the sources name is the keyring package's: mmdebstrap finds that by itself.
    apt-get indextargets --format '$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|' \
        'Created-By: Packages' 'Architecture: amd64' 2>/dev/null |
        awk -F'|' '$1 == "Debian" && $2 ~ /^bookworm(-updates|-security)?$/ && $5 == "main" {
            print "deb", $3, $4, $5
        }' | sort -u >"$work/own-sources"
    grep -q 'bookworm main$' "$work/own-sources" && cat "$work/own-sources"
}

debian_12_configure()
{
    local tree=$1
    cp "$work/sources.list" "$tree/etc/apt/sources.list"
    rm -rf "$tree"/etc/apt/sources.list.d/* "$tree"/etc/apt/apt.conf.d/99mmdebstrap
    cp -R -T "$here/images/debian-12/root" "$tree"
    sed -i "s/@UUID@/$debian_12_uuid/" "$tree/etc/fstab" "$tree/boot/grub/grub.cfg"
    # Each of these is made anew by the machine that boots.
    : >"$tree/etc/machine-id"
    rm -f "$tree"/var/lib/dbus/machine-id "$tree"/etc/ssh/ssh_host_*
    echo localhost >"$tree/etc/hostname"
    quietly chroot "$tree" systemctl enable systemd-networkd systemd-resolved serial-getty@ttyS0
    quietly chroot "$tree" systemctl mask apt-daily.timer apt-daily-upgrade.timer man-db.timer \
        e2scrub_all.timer e2scrub_reap.service
    quietly chroot "$tree" update-initramfs -u -k all
    ln -sf ../run/systemd/resolve/stub-resolv.conf "$tree/etc/resolv.conf"
    find "$tree/var/lib/apt/lists" "$tree/var/cache/apt" "$tree/var/log" "$tree/tmp" -type f -delete
}
