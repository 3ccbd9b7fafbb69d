# shellcheck shell=bash
# Sourced. Installs Debian packages that tests and benchmarks need, where they are missing.

# need PACKAGE...: installs what is missing; without root it prints what to install.
need() {
    local package missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
    done
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "missing; install as root: apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "installing ${missing[*]}" >&2
    # A package must not start its service: tests start private ones.
    local policy=/usr/sbin/policy-rc.d made=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=$policy
    fi
    local status=0
    apt_install "${missing[@]}" || { apt-get update -q >&2 && apt_install "${missing[@]}"; } || status=$?
    if [ -n "$made" ]; then
        rm -f "$made"
    fi
    return "$status"
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}
