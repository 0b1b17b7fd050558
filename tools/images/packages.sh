# SPDX-License-Identifier: Apache-2.0
# Debian packages for an image, out of apt's sources or the cache.  Sourced by tools/image.

# apt's lists say what is current.  Lists that are missing, or so old that the mirror has dropped what
# they name, are read anew, once.
lists_updated=
update_lists()
{
    [ -z "$lists_updated" ] || return 1
    lists_updated=1
    step "reading the package lists"
    quietly apt-get -q -o DPkg::Lock::Timeout=300 update
}

# Prints a line "NAME FILE SHA256" for each package, of the version that apt would install.
locate_packages()
{
    local uri file size sum
    apt-get -qq --print-uris download "$@" 2>"$work/apt.err" |
        while read -r uri file size sum; do
            echo "${file%%_*} $file ${sum#SHA256:}"
        done
}

# download_packages DIR NAME…: brings the packages' files into DIR.
download_packages()
{
    local into=$1 name file sum
    shift
    mkdir -p "$into"
    if ! locate_packages "$@" >"$work/located"; then
        if update_lists && locate_packages "$@" >"$work/located"; then
            :
        elif [ -n "$cache" ]; then
            # Neither lists nor network: whatever the cache has.
            for name in "$@"; do
                file=$(ls -t "$cache/${name}"_*.deb 2>/dev/null | head -n 1) || true
                [ -n "$file" ] || die "package \"$name\" is neither known to apt nor in \"$cache\""
                echo "$name ${file##*/} -"
            done >"$work/located"
        else
            die "apt does not know all of: $* ($(tail -n 1 "$work/apt.err"))"
        fi
    fi
    while read -r name file sum; do
        if [ -n "$cache" ] && [ -e "$cache/$file" ] &&
            { [ "$sum" = - ] || echo "$sum $cache/$file" | sha256sum --check --status; }; then
            cp "$cache/$file" "$into/"
            continue
        fi
        (cd "$into" && quietly apt-get -q -o APT::Sandbox::User=root download "$name") ||
            { update_lists &&
                (cd "$into" && quietly apt-get -q -o APT::Sandbox::User=root download "$name"); } ||
            die "could not download package \"$name\""
    done <"$work/located"
    keep_packages "$into"
}

# Copies the packages of a directory to the cache.  Another build may do the same now.
keep_packages()
{
    local file
    [ -n "$cache" ] || return 0
    for file in "$1"/*.deb; do
        if [ -e "$file" ] && [ ! -e "$cache/${file##*/}" ]; then
            cp "$file" "$cache/.${file##*/}.$$"
            mv -f "$cache/.${file##*/}.$$" "$cache/${file##*/}"
        fi
    done
}
