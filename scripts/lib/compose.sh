# shellcheck shell=bash
# Sourced after job.sh. The services of the mail server, stopped while what they use is exchanged, and started again.

# compose_find: finds the program and the file, or says that nothing is stopped. A file that nobody can use ends the job.
compose_find() {
    local root
    root=$(setting MAILSERVER_ROOT /opt/onprem-infra-system/project-root-infra/services/mailserver)
    COMPOSE_FILE_USED=$(setting DOCKER_COMPOSE_FILE "$root/docker-compose.yml")
    STOPPED=()
    read -ra COMPOSE_PROGRAM <<<"$(setting COMPOSE "$(compose_program)")"
    if [ "${COMPOSE_PROGRAM[*]}" = none ] || [ ! -e "$COMPOSE_FILE_USED" ]; then
        log WARN "$JOB_COMPONENT" "no services are stopped: there is no $COMPOSE_FILE_USED, or COMPOSE is none"
        COMPOSE_PROGRAM=()
    elif ! RUNNING=$(compose ps --services --filter status=running 2>"$JOB_DIR/compose"); then
        log ERROR "$JOB_COMPONENT" "the services cannot be asked for: $(head -c 300 "$JOB_DIR/compose"); start Docker, or set COMPOSE=none"
        job_end 2
    fi
}

compose_program() {
    if docker compose version >/dev/null 2>&1; then
        echo docker compose
    else
        echo docker-compose
    fi
}

compose() {
    "${COMPOSE_PROGRAM[@]}" --file "$COMPOSE_FILE_USED" "$@" </dev/null
}

# compose_stop: every running service but the database, which restores itself through a connection. They are started again when the
# script ends, however it ends.
compose_stop() {
    [ ${#COMPOSE_PROGRAM[@]} -gt 0 ] || return 0
    local database
    database=$(setting COMPOSE_DATABASE mariadb)
    mapfile -t STOPPED < <(grep -vxF -e "$database" -e '' <<<"$RUNNING")
    if [ ${#STOPPED[@]} -eq 0 ]; then
        log WARN "$JOB_COMPONENT" "no service runs that has to be stopped"
        return 0
    fi
    log INFO "$JOB_COMPONENT" "stopping ${STOPPED[*]}"
    trap 'compose_start; rm -rf "$JOB_DIR"' EXIT
    step "stopping the services" compose stop "${STOPPED[@]}"
}

# compose_start: those that were stopped. What cannot be started is an error, and the checks afterwards see it.
compose_start() {
    [ ${#STOPPED[@]} -gt 0 ] || return 0
    local services=("${STOPPED[@]}")
    STOPPED=()
    log INFO "$JOB_COMPONENT" "starting ${services[*]}"
    if ! logged compose start "${services[@]}"; then
        log ERROR "$JOB_COMPONENT" "not all services could be started: ${COMPOSE_PROGRAM[*]} --file $COMPOSE_FILE_USED start ${services[*]}"
    fi
}
