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

# need_rust: whether cargo is there and new enough for the Cargo.toml of the working directory; else how to get one.
need_rust() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$({ cargo --version 2>/dev/null || true; } | sed -n 's/^cargo \([0-9.]*\).*/\1/p')
    if [ -n "$found" ] && printf '%s\n' "$wanted" "$found" | sort -VC; then
        return 0
    fi
    echo "Rust $wanted or newer is needed; here is ${found:-none}. Debian's own package is older; with rustup, as any user:" >&2
    echo "  apt-get install curl build-essential && curl https://sh.rustup.rs -sSf | sh -s -- -y && . ~/.cargo/env" >&2
    return 1
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >&2
}
