# shellcheck shell=bash
# Sourced after job.sh. The services of the mail server, stopped while what they use is exchanged, and started again.

# compose_find: finds the program and the project, or says that nothing is stopped. A file that nobody can use ends the job.
#
# A file of a usual name is not named to the program, which is run in its directory: it reads override files, COMPOSE_FILE, the
# profiles and the name of the project in .env only when it looks for its files itself.
compose_find() {
    local root file env_file
    STOPPED=() COMPOSE_FLAGS=() COMPOSE_PROGRAM=()
    if is_none DOCKER_COMPOSE_FILE; then
        log INFO "$JOB_COMPONENT" "no services are stopped: DOCKER_COMPOSE_FILE says that there is no compose file"
        return 0
    fi
    root=$(setting MAILSERVER_ROOT /opt/onprem-infra-system/project-root-infra/services/mailserver)
    file=$(setting DOCKER_COMPOSE_FILE "$root/docker-compose.yml")
    env_file=$(setting ENV_FILE "$root/.env")
    COMPOSE_DIR=$(dirname "$file")
    case $(basename "$file") in
        compose.yaml | compose.yml | docker-compose.yml | docker-compose.yaml) ;;
        *) COMPOSE_FLAGS+=(--file "$(basename "$file")") ;;
    esac
    if [ -e "$env_file" ] && ! [ "$env_file" -ef "$COMPOSE_DIR/.env" ]; then
        COMPOSE_FLAGS+=(--env-file "$(readlink -f "$env_file")")
    fi
    read -ra COMPOSE_PROGRAM <<<"$(setting COMPOSE "$(compose_program)")"
    if [ "${COMPOSE_PROGRAM[*]}" = none ] || ! compose_is_there "$file" "$env_file"; then
        log WARN "$JOB_COMPONENT" "no services are stopped: there is no $file, or COMPOSE is none"
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

# compose_is_there FILE ENV_FILE: FILE, or another that the program finds in its place.
compose_is_there() {
    local name
    [ ! -e "$1" ] || return 0
    [ ${#COMPOSE_FLAGS[@]} -eq 0 ] || [ "${COMPOSE_FLAGS[0]}" != --file ] || return 1
    for name in compose.yaml compose.yml docker-compose.yml docker-compose.yaml; do
        [ ! -e "$COMPOSE_DIR/$name" ] || return 0
    done
    [ -n "${COMPOSE_FILE:-}" ] || grep -qsE '^[[:space:]]*(export[[:space:]]+)?COMPOSE_FILE=.' "$2"
}

compose() {
    (cd "$COMPOSE_DIR" && exec "${COMPOSE_PROGRAM[@]}" "${COMPOSE_FLAGS[@]}" "$@" </dev/null)
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
        log ERROR "$JOB_COMPONENT" "not all services could be started: cd $COMPOSE_DIR && ${COMPOSE_PROGRAM[*]} ${COMPOSE_FLAGS[*]} start ${services[*]}"
    fi
}
