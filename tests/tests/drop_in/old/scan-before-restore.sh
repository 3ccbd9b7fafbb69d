#!/bin/bash
# As it was: what clamd does not open is called clean.
clamdscan --config-file="$CLAMD_CONFIG" --fdpass --multiscan --no-summary "$1"
